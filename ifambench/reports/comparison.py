"""The tables of a comparison of two runs (`ifambench compare`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from ifambench.metrics.paired_explainers import HEADLINES
from ifambench.reports import numbers
from ifambench.reports.rows import IN_POINTS, label
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Section

_IN_POINTS = {*IN_POINTS, "flip_rate", "flip_rate_from_correct", "empty_selection_rate"}
_IN_POINTS |= {"bg_flip_rate", "bg_flip_back_rate"}
_RESULTS = {"a": "worse", "b": "better", "tie": "unclear"}
UNCLEAR_NOTE = "Unclear: the interval of the difference holds 0, or p (Holm) is not below 0.05."
_OF_VARIANTS = {"flip_rate", "flip_rate_from_correct"}
_SHORT = {"deletion_auc": "deletion", "insertion_auc": "insertion", "relevance_mass": "mass"}


_FLOOR_NOTE = (
    "Deletion and insertion follow the confidence of the model, which the random order shows; SRG "
    "is their difference."
)
_HEADLINES = (*HEADLINES, "relevance_mass", "mask_iou")
_ON_REQUEST = {"flip_rate_from_correct", "bg_flip_back_rate"}


class ComparisonLike(Protocol):
    """What is read of `ifambench.comparison.Comparison`."""

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
    def forced(self) -> bool:
        """Whether the runs are not comparable."""

    @property
    def costs(self) -> pd.DataFrame:
        """Columns quantity, explainer, a, b, ratio."""

    @property
    def name_a(self) -> str:
        """The first run."""

    @property
    def name_b(self) -> str:
        """The second run."""


def heading(name_a: str, name_b: str, *, forced: bool = False) -> str:
    """What is compared, with the mark of a forced comparison in every format."""
    mark = " (forced: the runs are not comparable)" if forced else ""
    return f"B: {name_b}, compared with A: {name_a}{mark}"


def difference_columns(
    first: str, count: str = "n", note: str = UNCLEAR_NOTE
) -> tuple[Column, ...]:
    """The columns of a table of differences: both sides, B - A with its interval, and the result.

    Args:
        first: Heading of the column that names the row.
        count: Heading of what the values are means over.
        note: The remark that says what the result rests on.
    """
    return (
        Column(first, "left", ALWAYS),
        Column("A", priority=6),
        Column("B", priority=7),
        Column("B - A", priority=ALWAYS),
        Column(INTERVAL, priority=8),
        Column("p (Holm)", priority=4),
        Column(count, priority=2),
        Column("B is", "left", 8, note),
    )


def holm_remark(candidates: int) -> tuple[str, ...]:
    """What p-values are corrected for, when there are several candidates."""
    if candidates == 1:
        return ()
    text = "p (Holm) is over all groups, variants or explainers of a measure"
    return (f"{text} and all {candidates} candidates.",)


def shown_rows(
    rows: pd.DataFrame, everything: bool, on_request: Collection[str] = _ON_REQUEST
) -> pd.DataFrame:
    """The differences of predictions, without those that are shown on request only."""
    found = rows[rows["explainer"].isna()]
    return found if everything else found[~found["metric"].isin(on_request)]


def explanation_rows(
    rows: pd.DataFrame, everything: bool, headlines: Sequence[str] = _HEADLINES
) -> pd.DataFrame:
    """The differences of explanations by explainer: all, or the headlines."""
    found = rows[rows["explainer"].notna()].sort_values("explainer", kind="stable")
    return found if everything else found[found["metric"].isin(headlines)]


def more_measures(rows: pd.DataFrame, shown: pd.DataFrame) -> tuple[str, ...]:
    """The remark that names what is not shown."""
    hidden = dict.fromkeys(rows["metric"][~rows.index.isin(shown.index)])
    return (f"With --all, and in JSON: {', '.join(map(label, hidden))}.",) if hidden else ()


def comparison_section(comparison: ComparisonLike) -> Section:
    """Both values, their difference with its interval, and what follows, one row per measure."""
    records = comparison.rows.to_dict("records")
    return Section(
        "comparison",
        heading(comparison.name_a, comparison.name_b, forced=comparison.forced),
        (*difference_columns("measure"), Column("worst group", "left", 1)),
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


def explanations_section(comparison: ComparisonLike, everything: bool = False) -> Section:
    """The paired differences of explanations, on images that both runs explained."""
    rows = comparison.rows[comparison.rows["explainer"].notna()]
    shown = explanation_rows(rows, everything)
    return Section(
        "explanations",
        f"Explanations of the same images, B: {comparison.name_b}, A: {comparison.name_a}",
        difference_columns("explainer and measure", note=""),
        tuple(_cells(item)[:-1] for item in shown.to_dict("records")),
        (_FLOOR_NOTE, *more_measures(rows, shown)),
    )


def costs_section(comparison: ComparisonLike) -> Section:
    """Counts and speeds side by side; no interval and no verdict."""
    records = comparison.costs.to_dict("records")
    speeds = any(item["quantity"].endswith("/s") for item in records)
    remark = "Speeds are shown where device, threads and number format of both runs are the same"
    return Section(
        "costs",
        "Cost",
        (
            Column("quantity", "left", ALWAYS),
            Column("A", priority=8),
            Column("B", priority=8),
            Column("B / A", priority=7),
        ),
        tuple(_cost_cells(item) for item in records),
        (f"{remark}; what else the machine did is not known." if speeds else f"{remark}.",),
    )


def overview_section(candidates: Sequence[dict[str, Any]]) -> Section:
    """Several candidates and the primary metric: names, both values, difference, what follows."""
    first = candidates[0]
    return Section(
        "overview",
        f"{label(first['metric'])} of {len(candidates)} candidates against {first['name_a']}",
        tuple(item for item in difference_columns("candidate") if item.name != "n"),
        tuple(_overview_cells(item) for item in candidates),
    )


def _overview_cells(item: dict[str, Any]) -> tuple[str, ...]:
    if "delta" not in item:
        return (item["name_b"], *[numbers.UNDEFINED] * 6)
    cells = _cells({"group": "all", "explainer": None, **item})
    return (item["name_b"], *cells[1:6], cells[7])


def _cost_cells(item: dict[Any, Any]) -> tuple[str, ...]:
    name = item["quantity"]
    named = name if pd.isna(item["explainer"]) else f"{item['explainer']}: {name}"
    ratio = number(item["ratio"])
    return (
        named,
        numbers.count(round(item["a"])),
        numbers.count(round(item["b"])),
        numbers.UNDEFINED if ratio is None else f"{ratio:.2f}",
    )


def _side(item: dict[Any, Any], side: str) -> tuple[str, str]:
    low, high = number(item[f"{side}_ci_low"]), number(item[f"{side}_ci_high"])
    places = numbers.decimals(low, high, int(number(item[f"{side}_n"]) or 0))
    return numbers.fraction(number(item[side]), places), numbers.interval(low, high, places)


def _cells(item: dict[Any, Any]) -> tuple[str, ...]:
    n = int(item["n"])
    places = numbers.decimals(number(item["ci_low"]), number(item["ci_high"]), n)
    is_rate = item["metric"].endswith("accuracy") or item["metric"] in _IN_POINTS
    return (
        measure(item),
        numbers.fraction(number(item["a"]), places),
        numbers.fraction(number(item["b"]), places),
        *difference_cells(item, places, in_points=is_rate and pd.isna(item["explainer"])),
        numbers.count(n),
        result(item["better"]),
        _minimum(item),
    )


def difference_cells(
    item: Mapping[Any, Any], places: int, *, in_points: bool
) -> tuple[str, str, str]:
    """The difference, its interval and the p-value; in percentage points where it is of rates."""
    delta, low, high, p = (number(item[key]) for key in ("delta", "ci_low", "ci_high", "p_holm"))
    if in_points:
        cells = numbers.points(delta, places), numbers.points_interval(low, high, places)
    else:
        cells = numbers.signed(delta, places), numbers.signed_interval(low, high, places)
    return (*cells, numbers.p_value(p))


def measure(item: dict[Any, Any]) -> str:
    """The measure of a row in words, groups indented."""
    metric, group, explainer = item["metric"], item["group"], item["explainer"]
    if metric == "group_accuracy":
        return f"  {group}"
    if not pd.isna(explainer):
        return f"{explainer}: {_SHORT.get(metric, label(metric))}"
    change = f" {item['variant'].replace('mixed_', '')}" if metric in _OF_VARIANTS else ""
    return f"{label(metric)}{change}"


def _minimum(item: dict[Any, Any]) -> str:
    """The group, or the two groups, that a minimum over groups is attained in."""
    at_group = item["metric"] != "group_accuracy" and item["group"] != "all"
    return str(item["group"]) if at_group else numbers.UNDEFINED


def result(better: Any) -> str:
    """What follows for B, in a word."""
    return numbers.UNDEFINED if pd.isna(better) else _RESULTS[better]


def number(value: Any) -> float | None:
    """A cell of a frame; undefined where it is missing."""
    return None if pd.isna(value) else float(value)
