"""Gates: does a comparison pass the bars that were fixed before the run?

A floor is about the candidate alone (`worst_group_accuracy=0.85`), a drop about the candidate
against the baseline (`worst_group_accuracy=1pp` points, or `5%` of the baseline's value). Whether
higher is better comes from the metric catalogue, never from the user. A drop beyond the tolerance
counts as a regression only when its interval excludes 0; else it is inconclusive. What is missing,
undefined or not a number fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ifambench.gate_bars import Drop, Floor, in_points, parse_drop, parse_floor
from ifambench.metrics.deletion import is_floor
from ifambench.metrics.score import METRIC_REGISTRY
from ifambench.reports import numbers

if TYPE_CHECKING:
    import pandas as pd

    from ifambench.comparison import Comparison

__all__ = [
    "Drop",
    "Floor",
    "GateResult",
    "Outcome",
    "check_gates",
    "parse_drop",
    "parse_floor",
    "points",
]

Outcome = Literal["ok", "inconclusive", "regressed", "failed"]

_BY_GROUP = "group_accuracy"
_SCOPES = ("group", "variant", "explainer")


@dataclass(frozen=True)
class GateResult:
    """One gate that was checked.

    Attributes:
        name: The gate as written, with group or explainer where the metric has several values.
        outcome: `ok`, `inconclusive` (beyond the tolerance, but within the noise), `regressed`,
            or `failed` (below a floor, missing, undefined, or inconclusive under strict).
        text: One sentence with the numbers.
    """

    name: str
    outcome: Outcome
    text: str

    @property
    def passed(self) -> bool:
        """True for `ok` and `inconclusive`."""
        return self.outcome in ("ok", "inconclusive")


def points(value: float, low: float, high: float, bound: float = 0.0) -> str:
    """A signed difference of fractions in percentage points with its interval.

    As many digits as it takes that nothing is shown as 0, nor the value as `bound`, unless it is.

    >>> points(0.012, -0.03, 0.054)
    '+1.2 pp [-3.0, +5.4]'
    >>> points(-0.0104, -0.02, -0.0002, bound=-0.01)
    '-1.04 pp [-2.00, -0.02]'
    """
    shown = (100 * value, 100 * low, 100 * high)
    places = max(numbers.apart(number, 0.0, 1) for number in shown)
    places = numbers.apart(shown[0], 100 * bound, places)
    return f"{numbers.signed(shown[0], places)} pp {numbers.signed_interval(*shown[1:], places)}"


def check_gates(
    comparison: Comparison,
    floors: Iterable[Floor] = (),
    drops: Iterable[Drop] = (),
    strict: bool = False,
) -> list[GateResult]:
    """Check every gate on every value of its metric (groups, explainers) in the comparison.

    Args:
        comparison: From `compare_runs`; `b` is the candidate.
        floors: From `parse_floor`. They hold the candidate's own stored values to the bar.
        drops: From `parse_drop`. They need a paired difference.
        strict: An inconclusive drop fails.

    Returns:
        One result per gate and value. A metric that is missing or undefined fails.
    """
    results: list[GateResult] = []
    for floor in floors:
        rows = _own_rows(comparison, floor)
        results += [_check_floor(floor, row) for row in rows] or [_missing(floor, comparison)]
    for drop in drops:
        rows = _in_scope(comparison.rows, drop.metric, drop.scope)
        results += [_check_drop(drop, row) for row in rows] or [_missing(drop, comparison)]
    if comparison.forced:
        results = [replace(item, text=f"forced comparison: {item.text}") for item in results]
    return [_strict(result) for result in results] if strict else results


def _own_rows(comparison: Comparison, floor: Floor) -> list[dict[str, Any]]:
    """The candidate's stored values, else (for what has none) those of the comparison."""
    own = comparison.candidate
    rows = [] if own.empty else _in_scope(own, floor.metric, floor.scope)
    if rows:
        return rows
    found = _in_scope(comparison.rows, floor.metric, floor.scope)
    return [{**row, "value": row["b"], "ci_low": None, "ci_high": None} for row in found]


def _in_scope(frame: pd.DataFrame, metric: str, scope: str | None) -> list[dict[str, Any]]:
    """The rows of a metric: of one group, variant or explainer, else all but the random floor.

    A metric with a value over all images has its parts by group only where one is named.
    """
    rows: list[dict[str, Any]] = frame[frame["metric"] == metric].to_dict("records")
    if scope is not None:
        named = [row for row in rows if scope in [row.get(key) for key in _SCOPES]]
        whole = [row for row in named if row["group"] in ("all", scope)]
        return whole or named
    whole = [row for row in rows if row["group"] == "all"]
    rows = rows if metric == _BY_GROUP or not whole else whole
    judged = [row for row in rows if _none(row["explainer"]) or not is_floor(row["explainer"])]
    return judged or rows


def _missing(gate: Floor | Drop, comparison: Comparison) -> GateResult:
    """The failure of a gate on a value that is not there, with the values there are."""
    name = gate.metric if gate.scope is None else f"{gate.metric}:{gate.scope}"
    floor = isinstance(gate, Floor) and not comparison.candidate.empty
    frame = comparison.candidate if floor else comparison.rows
    rows = frame[frame["metric"] == gate.metric].to_dict("records")
    there = dict.fromkeys(_label(row) for row in rows)
    hint = f"; there are {', '.join(there)}" if there else ""
    return GateResult(name, "failed", f"{name} is not part of this comparison{hint}")


def _strict(result: GateResult) -> GateResult:
    if result.outcome != "inconclusive":
        return result
    return GateResult(result.name, "failed", f"{result.text}; strict: inconclusive fails")


def _check_floor(gate: Floor, row: dict[str, Any]) -> GateResult:
    sign, value = _sign(gate.metric), row["value"]
    bound = f"{gate.bound:.12g}"
    name = f"{_label(row)} {'>=' if sign > 0 else '<='} {bound}"
    if _none(value):
        return GateResult(name, "failed", f"{_label(row)} of the candidate is undefined")
    met = sign * value >= sign * gate.bound or numbers.same(value, gate.bound)
    relation = "meets" if met else "misses"
    limits = "" if _none(row["ci_low"]) else f" [{row['ci_low']:.4f}, {row['ci_high']:.4f}]"
    shown = f"{value:.{numbers.apart(value, gate.bound, 4)}f}"
    text = f"{_label(row)} is {shown}{limits} and {relation} {bound}"
    return GateResult(name, "ok" if met else "failed", f"{text} ({_n(row)})")


def _check_drop(gate: Drop, row: dict[str, Any]) -> GateResult:
    amount = f"{100 * gate.amount:.12g}{'%' if gate.relative else 'pp'}"
    name = f"{_label(row)} drop <= {amount}"
    if _none(row["delta"]):
        return GateResult(name, "failed", f"{_label(row)} is undefined in one of the runs")
    loss = -_sign(gate.metric) * row["delta"]
    tolerance = gate.amount * abs(row["a"]) if gate.relative else gate.amount
    within = loss <= tolerance or numbers.same(loss, tolerance)
    change = f"{_label(row)} {row['a']:.4f} -> {row['b']:.4f}"
    if _none(row["ci_low"]):  # a single seed or image: a change of unknown noise
        text = f"{change}, tolerance {amount}; too few seeds or images for an interval ({_n(row)})"
        return GateResult(name, "ok" if within else "inconclusive", text)
    noise = row["ci_low"] <= 0 <= row["ci_high"]
    outcome: Outcome = "ok" if within else "inconclusive" if noise else "regressed"
    bound = -_sign(gate.metric) * tolerance
    text = f"{change}, {_difference(row, bound)}, tolerance {amount}; {_resolution(row, tolerance)}"
    return GateResult(name, outcome, f"{text} ({_n(row)})")


def _n(row: dict[str, Any]) -> str:
    """Images, or seeds where the row is a mean over seeds."""
    return f"n = {row['n']}{' seeds' if 'a_n' in row else ''}"


def _difference(row: dict[str, Any], bound: float) -> str:
    """The difference with its interval; `bound` is what the tolerance makes of it."""
    if in_points(row["metric"]):
        return points(row["delta"], row["ci_low"], row["ci_high"], bound)
    value = numbers.signed(row["delta"], numbers.apart(row["delta"], bound, 4))
    return f"{value} {numbers.signed_interval(row['ci_low'], row['ci_high'], 4)}"


def _resolution(row: dict[str, Any], tolerance: float) -> str:
    """The half width of the interval: the smallest drop that these images (or seeds) can show."""
    smallest = (row["ci_high"] - row["ci_low"]) / 2
    shown = f"{100 * smallest:.1f} pp" if in_points(row["metric"]) else f"{smallest:.4f}"
    below = ", more than the tolerance" if smallest > tolerance else ""
    return f"smallest detectable drop about {shown}{below}"


def _label(row: dict[str, Any]) -> str:
    """The metric, with the group, variant or explainer that tells its values apart."""
    if not _none(row["explainer"]):
        group = "" if row["group"] == "all" else f" in {row['group']}"
        return f"{row['metric']}:{row['explainer']}{group}"
    if row["metric"] == _BY_GROUP:
        return f"{row['metric']}:{row['group']}"
    if row["metric"].startswith("flip_rate"):
        return f"{row['metric']}:{row['variant']}"
    return str(row["metric"])


def _none(value: Any) -> bool:
    return value is None or value != value  # None, or NaN from the frame


def _sign(metric: str) -> int:
    return 1 if METRIC_REGISTRY.entry(metric).info["higher_is_better"] else -1
