from __future__ import annotations

import io

import pytest
from rich.console import Console

from ifambench.reports.long_table import long_table
from ifambench.reports.section import ALWAYS, Column, Section, to_rich

SECTION = Section(
    "runs",
    "Runs",
    (Column("run", "left", ALWAYS), Column("value"), Column("remark", "left", 2, note="A note.")),
    (("a/b", "0.5", "wörds and 漢字"), ("longer/name", "12.25", "x")),
)


def by_rich(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(to_rich(SECTION, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 24])
def test_the_lines_are_those_of_rich(width):
    heading, lines = long_table(SECTION, width)
    expected = by_rich(width)
    assert [*heading[:2], *lines][:4] == [*expected[:2], *expected[3:5]]
    assert set(heading[2]) == {"─"}
    assert len(heading[2]) == len(expected[2].strip())


def test_columns_that_are_left_out_are_named():
    *_, last = long_table(SECTION, 24)[1]
    assert last == "Not shown for lack of width: remark."


def test_a_line_is_never_wrapped():
    _, lines = long_table(SECTION, 5)
    assert next(lines) == "a/b"
    assert next(lines) == "longer/name"
