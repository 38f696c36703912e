from __future__ import annotations

import re

import pytest

from ifambench.reports.latex import escape_latex, to_latex
from ifambench.reports.section import Column, Section

COLUMNS = (Column("group", "left"), Column("accuracy"), Column("95 % interval"))
ROWS = (("a_b & c", "0.9", "[0.8, 0.95]"), ("[x] {y}", "-0.4", "<- worst"))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b", r"a\_b"),
        ("5 % of #1 & $x$ {y}", r"5 \% of \#1 \& \$x\$ \{y\}"),
        (r"a\b~c^d", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("x < y > z | w", r"x \textless{} y \textgreater{} z \textbar{} w"),
        ("-0.3 pp, ifam-vit-8, 2-4", r"$-$0.3 pp, ifam-vit-8, 2-4"),
        ("0.1 ± 0.2 ↑", r"0.1 $\pm$ 0.2 $\uparrow$"),
        ("with --all, a---b", r"with -{}-all, a-{}-{}-b"),  # no dashes are made of hyphens
        ("zwei\nZeilen", "zwei Zeilen"),
    ],
)
def test_escaping(text: str, escaped: str):
    assert escape_latex(text) == escaped


def test_a_table_has_the_rules_of_booktabs_and_the_columns_of_the_section():
    table = to_latex(Section("by group", "Acc. & more", COLUMNS, ROWS, ("100 %.",), ("", "worst")))
    lines = table.splitlines()
    rules = [line for line in lines if line.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"\begin{tabular}{lrr}" in lines
    assert r"\caption{Acc. \& more}" in lines
    assert r"\label{tab:by-group}" in lines
    assert "100 \\%." in lines
    rows = [line for line in lines if line.endswith(r" \\")]
    assert [len(re.split(r"(?<!\\)&", row)) for row in rows] == [3, 3, 3]
    assert table.count(r"\begin{") == table.count(r"\end{") == 2


def test_a_bracket_at_the_start_of_a_row_is_no_argument_of_the_line_break():
    table = to_latex(Section("k", "T", COLUMNS, ROWS))
    after_break = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert not any(line.startswith(("[", "*")) for line in after_break)
    assert "{[}x] \\{y\\}" in table


def test_indented_rows_stay_indented():
    table = to_latex(Section("k", "T", COLUMNS, (("  part", "", "  "),)))
    assert "\n\\quad part &  &  \\\\\n" in table


def test_the_worst_row_is_bold_without_the_arrow():
    table = to_latex(Section("k", "T", COLUMNS, ROWS, (), ("", "worst")))
    assert r"\textbf{$-$0.4} & \textbf{worst}" in table
    assert "<-" not in table
