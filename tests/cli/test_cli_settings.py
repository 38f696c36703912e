from __future__ import annotations

from pathlib import Path

import pytest

from ifambench.errors import UsageError
from ifambench.settings import (
    cache_folder,
    file_settings,
    option_defaults,
    resolve,
    suite_gates,
)


def test_no_file_no_settings(tmp_path):
    assert file_settings(tmp_path) == {}
    assert resolve(tmp_path, {})["output"].value == "runs"
    assert resolve(tmp_path, {})["output"].origin == "default"


def test_the_first_of_the_two_files_is_read(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.ifambench]\noutput = "b"\nthreads = 3\n')
    assert file_settings(tmp_path) == {"output": "b", "threads": 3}
    (tmp_path / "ifambench.toml").write_text('output = "a"\n')
    assert file_settings(tmp_path) == {"output": "a"}


def test_a_pyproject_without_the_table_is_no_matter(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.ruff]\nx = "b"\n')
    assert file_settings(tmp_path) == {}


def test_the_environment_is_above_the_file(tmp_path):
    (tmp_path / "ifambench.toml").write_text('output = "a"\nresults = "r"\n')
    found = resolve(tmp_path, {"IFAMBENCH_OUTPUT": "e"})
    assert (found["output"].value, found["output"].origin) == ("e", "IFAMBENCH_OUTPUT")
    assert (found["results"].value, found["results"].origin) == ("r", "file")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("colour = 1", "ifambench.toml:colour"),
        ("[gate]\nfloor = []", "ifambench.toml:gate.floor"),
        ("[run]\noutput = 'x'", "ifambench.toml:run.output"),
        ("threads = 'two'", "ifambench.toml:threads"),
        ("threads = true", "ifambench.toml:threads"),
        ("output = 1", "ifambench.toml:output"),
        ("[gate]\nstrict = 1", "ifambench.toml:gate.strict"),
        ("[gate]\nmax_drop = [1]", "ifambench.toml:gate.max_drop"),
        ("[gate.waterdigits]\nfloor = []", "ifambench.toml:gate.waterdigits.floor"),
        ("[gate.waterdigits]\nstrict = 1", "ifambench.toml:gate.waterdigits.strict"),
        ("= 3", "ifambench.toml"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(text, where, tmp_path):
    (tmp_path / "ifambench.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        file_settings(tmp_path)
    assert str(caught.value.where).endswith(where)


def test_an_unknown_key_ends_every_command_with_2(cli):
    Path("pyproject.toml").write_text("[tool.ifambench]\ncolour = 1")
    shown = cli("list", "models")
    assert shown.code == 2
    assert "where: pyproject.toml:colour" in shown.err


def test_gates_are_for_compare_only(tmp_path):
    text = 'threads = 2\n[gate]\nfail_under = ["accuracy=0.5"]\nstrict = true\n'
    (tmp_path / "ifambench.toml").write_text(text)
    assert option_defaults(tmp_path, "run") == {"threads": 2}
    wanted = {"threads": 2, "fail_under": ["accuracy=0.5"], "strict": True}
    assert option_defaults(tmp_path, "compare") == wanted


def test_gates_of_one_suite_are_read_by_suite(tmp_path):
    text = '[gate]\nstrict = true\n[gate.waterdigits]\nmax_drop = ["accuracy=1pp"]\n'
    (tmp_path / "ifambench.toml").write_text(text)
    assert option_defaults(tmp_path, "compare") == {"strict": True}
    assert option_defaults(tmp_path, "run") == {}
    assert suite_gates(tmp_path, "waterdigits") == {"max_drop": ["accuracy=1pp"]}
    assert suite_gates(tmp_path, "waterdigits-hard") == {}


def test_cache_folder(tmp_path):
    assert cache_folder({"IFAMBENCH_CACHE": "here"}) == Path("here")
    Path("ifambench.toml").write_text('cache = "there"\n')
    assert cache_folder({}) == Path("there")
    Path("ifambench.toml").write_text("cache = 1\n")
    assert cache_folder({"IFAMBENCH_CACHE": "here"}) == Path("here")
    assert cache_folder({}).is_dir()
