import io
import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ifambench.metrics.base import COLUMNS
from ifambench.records.schema import RunRecord
from ifambench.reports import summary, tables
from ifambench.reports.protocol import (
    cost_section,
    protocol_section,
    provenance_section,
    recipe_section,
)
from ifambench.reports.rows import class_name
from ifambench.reports.section import (
    Column,
    Section,
    escape_markdown,
    fenced,
    to_markdown,
    to_rich,
)
from tests.reports.golden_support import assert_golden


def _render(section: Section, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(to_rich(section, width))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _sections(record: RunRecord) -> list[Section]:
    about = (cost_section, protocol_section, recipe_section, provenance_section)
    return [
        *tables.summary_tables(record),
        *tables.detail_tables(record),
        *(make(record) for make in about),
    ]


def _section(record: RunRecord, key: str) -> Section:
    return next(item for item in _sections(record) if item.key == key)


def _with_metrics(record: RunRecord, **changes: dict[str, Any]) -> RunRecord:
    """The record with fields of some metrics replaced, None: without them."""
    rows = []
    for row in record.metrics:
        change = changes.get(row.metric, {})
        if change is not None:
            rows.append(row.model_copy(update=change))
    return record.model_copy(update={"metrics": rows})


def test_terminal_golden(record: RunRecord):
    assert_golden(
        "report_terminal_80.txt", "\n".join(_render(item, 80) for item in _sections(record))
    )


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_too_long_and_nothing_is_cut(record: RunRecord, width: int):
    for section in _sections(record):
        text = _render(section, width)
        assert max(map(len, text.splitlines())) <= width
        assert "\u2026" not in text
        if width >= 80:
            names = [row[0] for row in section.rows]
            assert all(name in text for name in names)


def test_dropped_columns_are_named_lowest_priority_first():
    columns = (Column("name", "left", 9), Column("keep", priority=8), Column("drop", priority=1))
    section = Section("k", "Title", columns, (("a" * 20, "1" * 20, "2" * 20),))
    text = _render(section, 50)
    assert "1" * 20 in text
    assert "2" * 20 not in text
    assert "Not shown for lack of width: drop." in text


def test_an_identifier_wider_than_the_terminal_is_wrapped_not_cut():
    section = Section("k", "T", (Column("name", "left", 9),), (("x" * 100,),))
    assert _render(section, 40).count("x") == 100


def test_markup_in_names_is_text(record: RunRecord):
    section = Section("k", "T", (Column("name", "left", 9),), (("[red]a[/red]",),))
    assert "[red]a[/red]" in _render(section, 80)


def test_markdown_escapes_cells():
    section = Section(
        "k", "A|B", (Column("n", "left"), Column("v")), (("a|b*c`", "<b>x"),), ("see [a](b)",)
    )
    text = to_markdown(section)
    assert "| a\\|b\\*c\\` | &lt;b>x |" in text
    assert "| :--- | ---: |" in text
    assert "[a](b)" not in text
    assert escape_markdown("[0.1, 0.2] <- worst") == "[0.1, 0.2] <- worst"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("waterbird_on_land", "waterbird_on_land"),  # within a word nothing is emphasised
        ("_a_ __init__ x_", r"\_a\_ \_\_init\_\_ x\_"),
        ("~~worse~~ better", r"\~\~worse\~\~ better"),
        ("$x$", r"\$x\$"),
        ("&lt;b&gt; &#60; A & B", "&amp;lt;b&amp;gt; &amp;#60; A & B"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("a\r\nb", "a  b"),
    ],
)
def test_no_name_changes_how_it_is_shown(text: str, escaped: str):
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize("text", ["a", "`a`", "```\n# A heading\n```", "````"])
def test_no_text_ends_its_block_of_code(text: str):
    first, *inside, last = fenced(text, "sh").splitlines()
    assert first == f"{last}sh"
    assert "\n".join(inside) == text
    assert len(last) > max(map(len, re.findall("`+", text)), default=2)


def test_worst_group_is_marked(record: RunRecord):
    section = _section(record, "groups")
    worst = [row for index, row in enumerate(section.rows) if section.kind(index) == "worst"]
    assert len(worst) == 1
    assert worst[0][0] == "one on land *"
    assert worst[0][-1] == "<- worst"


def test_near_tie_is_said(record: RunRecord):
    near = {"reason": "near_tie: zero on water"}
    changed = _with_metrics(record, worst_group_accuracy=near)
    assert any(row[-1] == "<- worst (near tie)" for row in _section(changed, "groups").rows)
    remark = _section(changed, "averages").rows[0][-1]
    assert remark == "one on land, near tie with zero on water"


def test_random_is_the_floor_and_last(record: RunRecord):
    section = _section(record, "explanations")
    assert section.rows[-1][0] == "random (floor)"
    assert section.kind(len(section.rows) - 1) == "floor"
    over = section.header.index("over random")
    assert section.rows[-1][over] == "-"
    assert section.rows[0][over].startswith("+")


def test_undefined_has_a_reason_and_is_not_zero(record: RunRecord):
    gone = {"value": None, "ci_low": None, "ci_high": None, "reason": "no training split"}
    section = _section(_with_metrics(record, adjusted_accuracy=gone), "averages")
    row = next(row for row in section.rows if row[0] == "adjusted accuracy")
    assert row[1:3] == ("-", "-")
    assert "Adjusted accuracy: undefined, no training split." in section.notes


def test_background_rows(record: RunRecord):
    section = _section(record, "background")
    names = [row[0] for row in section.rows]
    assert names == [
        *record.protocol.variants,
        "BG-Gap ↓",
        "FG-only drop ↓",
        "only_bg: over chance ↓",
    ]
    assert section.kinds[-1] == "total"
    assert section.rows[-1][2].endswith(" pp")


def _variants(record: RunRecord, names: dict[str, str]) -> RunRecord:
    """The record with some of its variants, under other names, and no gap."""
    kept = []
    for item in record.metrics:
        if item.metric == "bg_gap":
            kept.append(item.model_copy(update=_UNDEFINED))
        elif item.metric == "variant_accuracy" and item.variant in names:
            kept.append(item.model_copy(update={"variant": names[item.variant]}))
    return record.model_copy(update={"metrics": kept})


_UNDEFINED = {"value": None, "ci_low": None, "ci_high": None, "reason": "not evaluated"}


def test_other_variants_are_no_background_swaps(record: RunRecord):
    names = {"original": "original", "only_fg": "noise_foreground"}
    section = _section(_variants(record, names), "background")
    assert section.title == "Image variants"
    assert [row[0] for row in section.rows] == ["original", "noise_foreground"]
    assert not any("BG-Gap" in note for note in section.notes)


def test_a_gap_without_its_variants_is_not_shown(record: RunRecord):
    names = {"original": "original", "only_fg": "only_fg"}
    section = _section(_variants(record, names), "background")
    assert section.title == "Background swaps"
    assert [row[0] for row in section.rows] == ["original", "only_fg"]


def test_of_many_groups_the_worst_are_shown(record: RunRecord):
    one = next(item for item in record.metrics if item.metric == "group_accuracy")
    names = [f"group {index}" for index in range(40)]
    found = [
        one.model_copy(update={"group": name, "value": index / 40})
        for index, name in enumerate(names[::-1])
    ]
    many = record.model_copy(update={"metrics": found, "groups": names, "train_shares": None})
    section = _section(many, "groups")
    assert [row[0] for row in section.rows] == names[:9:-1]
    assert section.notes[0] == "The worst 30 groups; 10 more are in run.json."
    assert tables.detail_tables(many) == []


def test_accuracies_of_images_with_another_class_are_no_headline(record: RunRecord):
    before = summary.key_numbers(record), summary.sentences(record)
    protocol = record.protocol.model_copy(update={"primary_metric": "spurious_ap"})
    changed = record.model_copy(update={"protocol": protocol})
    assert {item.label for item in before[0]} - {
        item.label for item in summary.key_numbers(changed)
    } == {
        "worst-group accuracy",
        "accuracy",
    }
    assert summary.sentences(changed) == before[1][1:]


def test_names_of_classes(record: RunRecord):
    assert [class_name(record, y) for y in (0, 1, 2, 3)] == [
        *record.labels,
        "none of the classes",
        "class 3",
    ]
    bare = record.model_copy(update={"labels": []})
    assert class_name(bare, 0) == "class 0"


def test_tables_without_rows_are_left_out(record: RunRecord):
    bare = record.model_copy(update={"metrics": []})
    assert tables.summary_tables(bare) == []
    assert tables.detail_tables(bare) == []
    swaps = {"variant_accuracy": None, "flip_rate": None, "flip_rate_from_correct": None}
    none = {"bg_gap": {"value": None, "ci_low": None, "ci_high": None, "reason": "not evaluated"}}
    plain = _with_metrics(record, **swaps, **none)
    assert "background" not in {section.key for section in tables.summary_tables(plain)}


def test_metrics_of_plugins_are_shown(record: RunRecord):
    row = record.metrics[0].model_copy(update={"metric": "my_metric", "group": "all"})
    changed = record.model_copy(update={"metrics": [*record.metrics, row]})
    assert any(cells[0] == "my_metric" for cells in _section(changed, "further").rows)


def test_frame_csv_and_json(record: RunRecord):
    frame = tables.metrics_frame(record)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(record.metrics)
    back = pd.read_csv(io.StringIO(tables.to_csv(record)))
    assert np.allclose(back["value"], frame["value"].astype(float), equal_nan=True, rtol=0, atol=0)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads(tables.to_json(record), parse_constant=refuse)
    assert RunRecord.model_validate(content) == record


def _comparison() -> SimpleNamespace:
    rows = pd.DataFrame(
        {
            "metric": ["group_accuracy", "worst_group_accuracy", "srg", "adjusted_accuracy"],
            "group": ["one on land", "one on land / zero on water", "all", "all"],
            "explainer": [None, None, "grad-cam", None],
            "a": [0.851, 0.851, 0.34, None],
            "b": [0.921, 0.921, 0.21, None],
            "delta": [0.07, 0.07, -0.13, None],
            "ci_low": [0.046, 0.046, -0.14, None],
            "ci_high": [0.094, 0.094, -0.12, None],
            "p": [0.0001, 0.0001, 0.0001, None],
            "p_holm": [0.0004, 0.0004, 0.06, None],
            "method": ["mcnemar", "bootstrap_2000", "bootstrap_2000", None],
            "n": [642, 5794, 64, 0],
            "better": ["b", "tie", "a", None],
        }
    )
    explainers = pd.DataFrame(
        [["grad-cam", True, 0.34, 0.3, 0.4, 64, None, None, None, None]],
        columns=[
            *("explainer", "paired", "a", "a_ci_low", "a_ci_high", "a_n"),
            *("b", "b_ci_low", "b_ci_high", "b_n"),
        ],
    )
    return SimpleNamespace(
        rows=rows,
        explainers=explainers,
        verdict="ifam-vit-ti is better.",
        warnings=["one seed"],
        name_a="vit-ti",
        name_b="ifam-vit-ti",
        forced=False,
    )


def test_comparison():
    section = tables.comparison_section(_comparison())
    assert [row[-2] for row in section.rows] == ["better", "unclear", "worse", "-"]
    assert section.rows[0][:6] == (
        "  one on land",
        "0.851",
        "0.921",
        "+7.0 pp",
        "[+4.6, +9.4]",
        "< 0.001",
    )
    assert section.rows[1][0] == "worst-group accuracy"
    assert section.rows[1][-1] == "one on land / zero on water"
    assert section.rows[2][0] == "grad-cam: SRG"
    assert section.rows[2][3] == "-0.130"
    assert section.rows[3][1:6] == ("-",) * 5
    assert section.notes[-2:] == ("ifam-vit-ti is better.", "Warning: one seed")
    assert section.title == "B: ifam-vit-ti, compared with A: vit-ti"
    assert max(map(len, _render(section, 80).splitlines())) <= 80


def test_comparison_explainers():
    section = tables.explainers_section(_comparison())
    assert section.rows == (("grad-cam", "0.340", "[0.300, 0.400]", "-", "-"),)
