from __future__ import annotations

import pytest

from ifambench.reports.job_summary import COMMENT_CHARACTERS, STEP_BYTES, comment, job_summary
from ifambench.reports.section import Column, Section


def section(key: str, rows: int) -> Section:
    cells = tuple((f"{key} row {k}", f"{k / 7:.6f}", "ä" * 20) for k in range(rows))
    columns = (Column("name", "left"), Column("value"), Column("text", "left"))
    return Section(key, f"Table {key} <x>", columns, cells)


def test_what_fits_is_whole():
    text = job_summary("Heading", [section("a", 3), section("b", 3)], ["below"])
    assert text.startswith("# Heading\n\n## Table a")
    assert text.endswith("\n\nbelow")
    assert "Left out" not in text


def test_whole_tables_are_left_out_and_named():
    parts = [section("a", 3), section("b", 40_000), section("c", 3)]
    text = job_summary("Heading", parts, ["below"])
    assert len(text.encode()) <= STEP_BYTES
    assert text.endswith("Left out to stay within 1,048,576 bytes: Table b &lt;x>.")
    assert "b row" not in text
    for key in ("a", "c"):
        assert text.count(f"| {key} row ") == 3
    assert "\n\nbelow\n\n" in text


@pytest.mark.parametrize("limit", [0, 10, 300, 1000, 5000])
def test_no_limit_is_exceeded_and_no_row_is_cut(limit: int):
    text = job_summary("Heading", [section(key, 8) for key in "abc"], ["below"], limit)
    assert len(text.encode()) <= limit
    rows = [line for line in text.splitlines() if " row " in line]
    assert len(rows) % 8 == 0
    assert all(line.endswith(f"{'ä' * 20} |") for line in rows)


def test_a_comment_is_text_first_then_one_open_table():
    text = comment("Heading", [section("a", 2), section("b", 2)], ["verdict"])
    assert text.startswith("# Heading\n\nverdict\n\n## Table a")
    assert "<summary>Table b &lt;x&gt;</summary>\n\n| name |" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_a_comment_has_the_smaller_limit():
    text = comment("Heading", [section("a", 3), section("b", 2_000), section("c", 3)])
    assert len(text) <= len(text.encode()) <= COMMENT_CHARACTERS == 65_536
    assert "Table b" in text.splitlines()[-1]
    assert text.count("<details>") == text.count("</details>") == 1
