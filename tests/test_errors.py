from __future__ import annotations

import pytest

from ifambench import errors
from ifambench.errors import (
    CheckFailed,
    EnvironmentProblem,
    IfamBenchError,
    RunInterrupted,
    UsageError,
    unknown_name,
)


def test_lines_hold_what_there_is_in_order():
    error = UsageError("wrong", where="a.toml:key", choices=["x", "y"], next_step="do it")
    assert error.lines() == ["wrong", "where: a.toml:key", "valid: x, y", "next:  do it"]
    assert str(error) == "\n".join(error.lines())
    assert UsageError("wrong").lines() == ["wrong"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (CheckFailed, 1),
        (UsageError, 2),
        (EnvironmentProblem, 3),
        (IfamBenchError, 4),
        (RunInterrupted, 130),
    ],
)
def test_each_kind_has_its_exit_code(kind, code):
    assert kind("x").exit_code == code


def test_exit_codes_are_the_contract():
    codes = {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert sorted(codes.values()) == [0, 1, 2, 3, 4, 5, 130]


@pytest.mark.parametrize("written", ["waterdigit", "WATERDIGITS", "waterbirds"])
def test_unknown_name_suggests_the_nearest(written):
    error = unknown_name("suite", written, ["in9", "waterdigits"], list_command="ifambench list")
    assert error.what == f'unknown suite "{written}" (did you mean waterdigits?)'
    assert error.choices == ("in9", "waterdigits")
    assert error.next_step == "ifambench list"


def test_unknown_name_without_a_near_one_suggests_nothing():
    error = unknown_name("suite", "xyz", iter(["b", "a"]), list_command="c")
    assert error.what == 'unknown suite "xyz"'
    assert error.choices == ("a", "b")


def test_unknown_name_in_an_empty_catalogue():
    assert unknown_name("suite", "a", [], list_command="c").lines() == [
        'unknown suite "a"',
        "next:  c",
    ]
