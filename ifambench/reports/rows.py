"""Find metric rows of a record, and name them for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ifambench.errors import UsageError
from ifambench.metrics.deletion import is_floor, operator_of
from ifambench.metrics.score import METRIC_REGISTRY
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.labels import LABELS

RANDOM = "random"
"""The explainer that is the floor: a random order of the patches."""

IN_POINTS = frozenset(
    {
        *("bg_gap", "fg_only_drop", "bg_signal", "shape_leak", "fooled_by_background_excess"),
        *("shortcut_gap", "accuracy_drop", "gap_id_ood"),
        *("class_accuracy_gap", "class_share_increase", "silhouette_over_chance"),
    }
)
"""Metrics that are differences of fractions, shown in percentage points."""


def is_fraction(metric: str) -> bool:
    """Whether the values of a metric lie in [0, 1]; False for one that is not registered."""
    entry = METRIC_REGISTRY.entries().get(metric)
    return entry is not None and entry.info["unit"] == "fraction" and metric not in IN_POINTS


_ARROWS = {True: " ↑", False: " ↓", None: ""}
_METHODS = {
    "wilson": "Wilson",
    "wilson_near_ties": "Wilson with near ties allowed for",
    "newcombe": "Newcombe (unpaired)",
    "delong_logit": "DeLong on the logit scale",
    "wilson_smaller_side": "Wilson with the images of the smaller side",
    "mover_wilson": "Wilson combined by MOVER",
    "bonett_price": "Bonett-Price (paired)",
}
_NEAR_TIE = "near_tie"


@dataclass(frozen=True)
class Shown:
    """A metric row as text: the value and its interval, with the same number of decimals."""

    value: str
    interval: str
    places: int


def label(metric: str) -> str:
    """The name of a metric in tables; unknown ones keep their own."""
    return LABELS.get(metric, metric)


def with_arrow(metric: str) -> str:
    """The name, with an arrow up where higher is better and down where lower is."""
    return f"{label(metric)}{_ARROWS[_direction(metric)]}"


def _direction(metric: str) -> bool | None:
    try:
        return METRIC_REGISTRY.entry(metric).info.get("higher_is_better")
    except UsageError:  # of a plug-in that is not installed
        return None


def sentence_case(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def rows(record: RunRecord, metric: str, **where: str | None) -> list[Metric]:
    """The rows of a metric whose fields have the given values."""
    return [
        row
        for row in record.metrics
        if row.metric == metric and all(getattr(row, key) == value for key, value in where.items())
    ]


def row(record: RunRecord, metric: str, **where: str | None) -> Metric | None:
    """The first such row, or None."""
    return next(iter(rows(record, metric, **where)), None)


def shown(metric: Metric | None, places: int | None = None) -> Shown:
    """A row with the digits that its interval allows, or with those given; `-` without a row."""
    if metric is None:
        return Shown(numbers.UNDEFINED, numbers.UNDEFINED, 3)
    if places is None:
        places = common_places([metric])
    return Shown(
        numbers.fraction(metric.value, places),
        numbers.interval(metric.ci_low, metric.ci_high, places),
        places,
    )


def common_places(found: Iterable[Metric]) -> int:
    """Decimals for a column of values on about the same images: those of the narrowest interval.

    Intervals near a boundary of the rule would else make the decimals of a column jump.
    """
    return max((numbers.decimals(item.ci_low, item.ci_high, item.n) for item in found), default=3)


def shown_points(metric: Metric) -> Shown:
    """A row that is a difference of fractions, in percentage points."""
    places = common_places([metric])
    return Shown(
        numbers.points(metric.value, places),
        numbers.points_interval(metric.ci_low, metric.ci_high, places),
        places,
    )


def reason(text: str | None) -> str:
    """A remark of a row for people."""
    return (text or "").replace(f"{_NEAR_TIE}: ", "near tie with ").replace(_NEAR_TIE, "near tie")


def is_near_tie(metric: Metric) -> bool:
    """Whether another group may be the worst one just as well."""
    return (metric.reason or "").startswith(_NEAR_TIE)


def methods_note(found: list[Metric]) -> tuple[str, ...]:
    """One sentence naming how the intervals of these rows were made."""
    names = dict.fromkeys(_method(item.ci_method) for item in found if item.ci_method)
    return (f"95 % intervals: {'; '.join(names)}.",) if names else ()


def undefined_notes(found: list[Metric]) -> tuple[str, ...]:
    """One sentence for each undefined value that says why."""
    return tuple(
        f"{sentence_case(_place(item))}: undefined, {reason(item.reason)}."
        for item in found
        if item.value is None and item.reason
    )


def explainers(record: RunRecord) -> list[str]:
    """The explainers by SRG, best first, the random floor last.

    Those under the operator of the run come before those under others, each with its own floor.
    """
    names = dict.fromkeys(item.explainer for item in record.metrics if item.explainer)
    scores = {item.explainer: item.value for item in rows(record, "srg", group="all")}

    def rank(name: str) -> tuple[str, bool, float]:
        score = scores.get(name)
        return operator_of(name), is_floor(name), float("inf") if score is None else -score

    return sorted(names, key=rank)


def class_name(record: RunRecord, y: int) -> str:
    """The name of a class, or `class <y>` where the suite gives none.

    The index after the last label is that of a classifier with more classes, whose prediction is
    one of those that belong to no label.
    """
    if y == len(record.labels) > 0:
        return "none of the classes"
    return record.labels[y] if 0 <= y < len(record.labels) else f"class {y}"


def worst_group(record: RunRecord) -> str | None:
    """The name of the observed worst group."""
    found = row(record, "worst_group_accuracy")
    return found.group if found is not None and found.value is not None else None


def _method(name: str | None) -> str:
    kind, _, resamples = (name or "").rpartition("_")
    if kind.endswith("bootstrap") and resamples.isdigit():
        return f"{kind.replace('_', ' ')} ({numbers.count(int(resamples))} resamples)"
    return _METHODS.get(name or "", name or "")


def _place(item: Metric) -> str:
    where = [item.explainer, item.variant if item.variant != "original" else None]
    where.append(item.group if item.group != "all" else None)
    return " ".join([label(item.metric), *(f"({part})" for part in where if part)])
