"""The table of a comparison of two runs (`ifambench compare`)."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd

from ifambench.reports import numbers
from ifambench.reports.rows import IN_POINTS, label
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Section

_IN_POINTS = {*IN_POINTS, "flip_rate", "empty_selection_rate"}
_RESULTS = {"a": "worse", "b": "better", "tie": "unclear"}
_UNCLEAR_NOTE = "Unclear: the interval of the difference holds 0, or p (Holm) is not below 0.05."
_SHORT = {"deletion_auc": "deletion", "insertion_auc": "insertion", "relevance_mass": "mass"}


class ComparisonLike(Protocol):
    """What is read of `ifambench.compare.Comparison`."""

    @property
    def rows(self) -> pd.DataFrame:
        """Columns metric, group, explainer, a, b, delta, ci_low, ci_high, p_holm, n, better."""

    @property
    def explainers(self) -> pd.DataFrame:
        """SRG of every explainer of either run: explainer, paired, and a, b with limits and n."""

    @property
    def verdict(self) -> str:
        """One sentence."""

    @property
    def warnings(self) -> list[str]:
        """What limits the comparison."""

    @property
    def name_a(self) -> str:
        """The first run."""

    @property
    def name_b(self) -> str:
        """The second run."""


def comparison_section(comparison: ComparisonLike) -> Section:
    """Both values, their difference with its interval, and what follows, one row per measure."""
    records = comparison.rows.to_dict("records")
    return Section(
        "comparison",
        f"B: {comparison.name_b}, compared with A: {comparison.name_a}",
        (
            Column("measure", "left", ALWAYS),
            Column("A", priority=6),
            Column("B", priority=7),
            Column("B - A", priority=ALWAYS),
            Column(INTERVAL, priority=8),
            Column("p (Holm)", priority=4),
            Column("n", priority=2),
            Column("B is", "left", 8, _UNCLEAR_NOTE),
            Column("worst group", "left", 1),
        ),
        tuple(_cells(item) for item in records),
        (comparison.verdict, *(f"Warning: {text}" for text in comparison.warnings)),
    )


def explainers_section(comparison: ComparisonLike) -> Section:
    """SRG of every explainer of either run, each on its own images."""
    records = comparison.explainers.to_dict("records")
    return Section(
        "explainers",
        f"SRG of all explainers, A: {comparison.name_a}, B: {comparison.name_b}",
        (
            Column("explainer", "left", ALWAYS),
            Column("A", priority=8),
            Column(INTERVAL, priority=5),
            Column("B", priority=8),
            Column(INTERVAL, priority=5),
        ),
        tuple((item["explainer"], *_side(item, "a"), *_side(item, "b")) for item in records),
        ("Each run on its own explained images; SRG: higher is better.",),
    )


def _side(item: dict[Any, Any], side: str) -> tuple[str, str]:
    low, high = _number(item[f"{side}_ci_low"]), _number(item[f"{side}_ci_high"])
    places = numbers.decimals(low, high, int(_number(item[f"{side}_n"]) or 0))
    return numbers.fraction(_number(item[side]), places), numbers.interval(low, high, places)


def _cells(item: dict[Any, Any]) -> tuple[str, ...]:
    low, high, n = _number(item["ci_low"]), _number(item["ci_high"]), int(item["n"])
    places = numbers.decimals(low, high, n)
    in_points = item["metric"].endswith("accuracy") or item["metric"] in _IN_POINTS
    difference = numbers.points if in_points else numbers.signed
    bounds = numbers.points_interval if in_points else numbers.signed_interval
    return (
        _measure(item),
        numbers.fraction(_number(item["a"]), places),
        numbers.fraction(_number(item["b"]), places),
        difference(_number(item["delta"]), places),
        bounds(low, high, places),
        numbers.p_value(_number(item["p_holm"])),
        numbers.count(n),
        _result(item["better"]),
        _minimum(item),
    )


def _measure(item: dict[Any, Any]) -> str:
    metric, group, explainer = item["metric"], item["group"], item["explainer"]
    if metric == "group_accuracy":
        return f"  {group}"
    if not pd.isna(explainer):
        return f"{explainer}: {_SHORT.get(metric, label(metric))}"
    return label(metric)


def _minimum(item: dict[Any, Any]) -> str:
    """The group, or the two groups, that a minimum over groups is attained in."""
    at_group = item["metric"] != "group_accuracy" and item["group"] != "all"
    return str(item["group"]) if at_group else numbers.UNDEFINED


def _result(better: Any) -> str:
    return numbers.UNDEFINED if pd.isna(better) else _RESULTS[better]


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
