"""Names that mean something to a format: each is shown as it is, and none changes what is shown."""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ifambench.records.schema import RunRecord
from ifambench.records.store import LoadedRun, load_run
from ifambench.reports.html import render_html
from ifambench.reports.latex import to_latex
from ifambench.reports.markdown import render_markdown
from ifambench.reports.tables import metrics_frame, summary_tables, to_csv

NAMES = (
    *("a|b", "<script>alert(1)</script>", "=cmd()", "100%_x\\", "\"q'`r`", "[x](http://e)"),
    *("_x_ ~~y~~ $z$", "&lt;b&gt;", "```\n# Verified", "{{ 7*7 }}", "\N{SNOWMAN}"),
)


REPLACED = ("one on land", "ifam-mask")
"""A group and an explainer that get the name."""


def renamed(record: RunRecord, name: str) -> RunRecord:
    """The record with the name for its model, a group, an explainer and a warning."""

    def other(text: str | None) -> str | None:
        return name if text in REPLACED else text

    metrics = [
        row.model_copy(update={"group": other(row.group), "explainer": other(row.explainer)})
        for row in record.metrics
    ]
    return record.model_copy(
        update={
            "model": record.model.model_copy(update={"name": name}),
            "groups": [other(group) for group in record.groups],
            "minority": [other(group) for group in record.minority],
            "metrics": metrics,
            "warnings": [name],
            "command": f"ifambench run {name}",
        }
    )


def renamed_run(run: LoadedRun, name: str) -> LoadedRun:
    """The run with the name in its record and in its tables."""
    columns = {"group": {REPLACED[0]: name}, "explainer": {REPLACED[1]: name}}
    return replace(
        run,
        record=renamed(run.record, name),
        predictions=run.predictions.replace({"group": columns["group"]}),
        explanations=run.explanations.replace(columns),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_report_in_markdown(folder: Path, name: str):
    text = render_markdown(renamed_run(load_run(folder), name))
    prose = text.partition("## Reproduce")[0]
    assert "<script>" not in prose
    assert "# Verified" not in prose.splitlines()
    tables = re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE)
    assert len(tables) > 8
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1
    fence = text.rstrip().splitlines()[-1]
    assert re.fullmatch("`{3,}", fence)
    assert fence not in name


@pytest.mark.parametrize("name", NAMES)
def test_a_report_as_a_page(folder: Path, name: str):
    page = render_html(renamed_run(load_run(folder), name))
    assert "<script" not in page
    title = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert title is not None
    assert html.unescape(title[1]) == f"{name} on waterdigits"


@pytest.mark.parametrize("name", NAMES)
def test_metric_rows_as_csv(record: RunRecord, name: str):
    changed = renamed(record, name)
    rows = list(csv.DictReader(io.StringIO(to_csv(changed))))
    assert len(rows) == len(metrics_frame(changed))
    groups = {row["group"] for row in rows}
    assert (f"'{name}" if name.startswith("=") else name) in groups


@pytest.mark.parametrize("name", NAMES)
def test_tables_as_latex(record: RunRecord, name: str):
    for section in summary_tables(renamed(record, name)):
        lines = to_latex(section).splitlines()
        rows = [line for line in lines if line.endswith(r" \\")]
        cells = {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows}
        assert cells == {len(section.columns)}
        assert not any(re.search(r"(?<!\\)[%#_]", row) for row in rows)
