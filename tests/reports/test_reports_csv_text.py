from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from ifambench.reports.csv_text import frame_csv, rows_csv, rows_of, sections_csv
from ifambench.reports.section import Column, Section

FIRST = Section("first", "F", (Column("name"), Column("low"), Column("low")), (("a,b", "1", "2"),))
SECOND = Section("second", "S", (Column("name"), Column("n")), (("c", "3"),))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_have_every_key_and_empty_cells_where_undefined():
    text = rows_csv([{"a": 0.1, "b": None}, {"a": 1 / 3, "c": 'x "y"\nz'}])
    assert text.startswith("a,b,c\n0.1,,\n0.3333333333333333,,")
    assert read(text)[1] == {"a": "0.3333333333333333", "b": "", "c": 'x "y"\nz'}


def test_rows_are_found_where_a_result_has_them():
    rows = [{"metric": "accuracy", "value": 0.5}]
    assert rows_of({"rows": rows}) == rows_of({"record": {"metrics": rows}}) == rows_of(rows)
    assert rows_of({"folder": "x"}) is None
    assert rows_of([{"nested": [1]}]) is None
    assert rows_of([]) is None


def test_one_table_is_as_shown():
    assert read(sections_csv([SECOND])) == [{"name": "c", "n": "3"}]


def test_several_tables_are_one_rectangle():
    found = read(sections_csv([FIRST, SECOND]))
    assert found[0] == {"table": "first", "name": "a,b", "low": "1", "low (2)": "2", "n": ""}
    assert found[1] == {"table": "second", "name": "c", "low": "", "low (2)": "", "n": "3"}


@pytest.mark.parametrize(
    "name", ["=cmd()", "@SUM(1)", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "-a", "\t=1"]
)
def test_no_spreadsheet_computes_a_name(name: str):
    rows = [{"model": name, name: -0.5}]
    inert = f"'{name}"
    assert read(rows_csv(rows)) == [{"model": inert, inert: "-0.5"}]
    assert read(frame_csv(pd.DataFrame({"model": [name], "value": [-0.5]})))[0]["model"] == inert
    section = Section("k", "T", (Column("model"),), ((name,),))
    assert read(sections_csv([section])) == [{"model": inert}]


@pytest.mark.parametrize(
    "text",
    [
        *("-", "-0.4", "+7.0 pp", "-0.1 [-0.3, +0.1]", "-0.4 ± 0.1", "-0.03 (grad-cam@drop)"),
        "ifam-vit",
        "",
    ],
)
def test_numbers_and_usual_names_stay_as_they_are(text: str):
    assert read(rows_csv([{"a": text, "b": 1}])) == [{"a": text, "b": "1"}]
