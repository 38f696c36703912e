"""Gates: does a comparison pass the bars that were fixed before the run?

A floor is about the candidate alone (`worst_group_accuracy=0.85`), a drop about the candidate
against the baseline (`worst_group_accuracy=1pp` points, or `5%` of the baseline's value). Whether
higher is better comes from the metric catalogue, never from the user. A drop beyond the tolerance
counts as a regression only when its paired interval excludes 0; else it is inconclusive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ifambench.errors import UsageError
from ifambench.metrics.score import METRIC_REGISTRY

if TYPE_CHECKING:
    from ifambench.compare import Comparison

Outcome = Literal["ok", "inconclusive", "regressed", "failed"]

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Floor:
    """The candidate's value must not be worse than `bound`."""

    metric: str
    bound: float


@dataclass(frozen=True)
class Drop:
    """The candidate must not be worse than the baseline by more than `amount`.

    Attributes:
        metric: Name of the metric.
        amount: Tolerance: absolute, or the share of the baseline's value when `relative`.
        relative: True for `%`, False for `pp`.
    """

    metric: str
    amount: float
    relative: bool


@dataclass(frozen=True)
class GateResult:
    """One gate that was checked.

    Attributes:
        name: The gate as written, with group or explainer where the metric has several values.
        outcome: `ok`, `inconclusive` (beyond the tolerance, but within the noise), `regressed`,
            or `failed` (below a floor, undefined, or inconclusive under strict).
        text: One sentence with the numbers.
    """

    name: str
    outcome: Outcome
    text: str

    @property
    def passed(self) -> bool:
        """True for `ok` and `inconclusive`."""
        return self.outcome in ("ok", "inconclusive")


def parse_floor(text: str) -> Floor:
    """Read `metric=bound`; the bound is in the unit of the metric, so 85 % is 0.85.

    For a metric where lower is better the bound is the largest value allowed.

    >>> parse_floor("worst_group_accuracy=0.85")
    Floor(metric='worst_group_accuracy', bound=0.85)

    Raises:
        UsageError: If the metric is unknown or has no direction, or the bound is not a number.
    """
    metric, value = _split(text, "worst_group_accuracy=0.85")
    if not re.fullmatch(_NUMBER, value):
        raise _bad_value(text, "the bound is not a number", "worst_group_accuracy=0.85")
    if METRIC_REGISTRY.entry(metric).info["unit"] == "fraction" and abs(float(value)) > 1:
        raise _bad_value(text, f"{metric} is a fraction of 1", f"{metric}=0.85")
    return Floor(metric, float(value))


def parse_drop(text: str) -> Drop:
    """Read `metric=1pp` (points) or `metric=5%` (of the baseline's value).

    >>> parse_drop("worst_group_accuracy=1pp")
    Drop(metric='worst_group_accuracy', amount=0.01, relative=False)
    >>> parse_drop("bg_gap=5%")
    Drop(metric='bg_gap', amount=0.05, relative=True)

    Raises:
        UsageError: If the unit is missing, the tolerance negative, or the metric unknown.
    """
    example = "worst_group_accuracy=1pp"
    metric, value = _split(text, example)
    found = re.fullmatch(rf"({_NUMBER})\s*(pp|%)", value)
    if not found:
        raise _bad_value(text, "a drop needs its unit, pp (points) or % (relative)", example)
    if float(found[1]) < 0:
        raise _bad_value(text, "a drop is not negative", example)
    return Drop(metric, float(found[1]) / 100, relative=found[4] == "%")


def points(value: float, low: float, high: float) -> str:
    """A signed difference of fractions in percentage points with its interval.

    >>> points(0.012, -0.03, 0.054)
    '+1.2 pp [-3.0, +5.4]'
    """
    return f"{100 * value:+.1f} pp [{100 * low:+.1f}, {100 * high:+.1f}]"


def check_gates(
    comparison: Comparison,
    floors: Iterable[Floor] = (),
    drops: Iterable[Drop] = (),
    strict: bool = False,
) -> list[GateResult]:
    """Check every gate on every value of its metric (groups, explainers) in the comparison.

    Args:
        comparison: From `compare_runs`; `b` is the candidate.
        floors: From `parse_floor`.
        drops: From `parse_drop`.
        strict: An inconclusive drop fails.

    Returns:
        One result per gate and value. A metric that is missing or undefined fails.
    """
    results: list[GateResult] = []
    for floor in floors:
        results += _for_each_value(comparison, floor.metric, partial(_check_floor, floor))
    for drop in drops:
        results += _for_each_value(comparison, drop.metric, partial(_check_drop, drop))
    return [_strict(result) for result in results] if strict else results


def _for_each_value(
    comparison: Comparison, metric: str, check: Callable[[dict[str, Any]], GateResult]
) -> list[GateResult]:
    rows = comparison.rows[comparison.rows["metric"] == metric].to_dict("records")
    if not rows:
        return [GateResult(metric, "failed", f"{metric} is not part of this comparison")]
    return [check(row) for row in rows]


def _strict(result: GateResult) -> GateResult:
    if result.outcome != "inconclusive":
        return result
    return GateResult(result.name, "failed", f"{result.text}; strict: inconclusive fails")


def _check_floor(gate: Floor, row: dict[str, Any]) -> GateResult:
    sign = _sign(gate.metric)
    name = f"{_label(row)} {'>=' if sign > 0 else '<='} {gate.bound:g}"
    if _missing(row["b"]):
        return GateResult(name, "failed", f"{_label(row)} of the candidate is undefined")
    met = sign * row["b"] >= sign * gate.bound
    relation = "meets" if met else "misses"
    text = f"{_label(row)} is {row['b']:.4f} and {relation} {gate.bound:g} (n = {row['n']})"
    return GateResult(name, "ok" if met else "failed", text)


def _check_drop(gate: Drop, row: dict[str, Any]) -> GateResult:
    amount = f"{100 * gate.amount:g}{'%' if gate.relative else 'pp'}"
    name = f"{_label(row)} drop <= {amount}"
    if _missing(row["delta"]):
        return GateResult(name, "failed", f"{_label(row)} is undefined in one of the runs")
    loss = -_sign(gate.metric) * row["delta"]
    tolerance = gate.amount * abs(row["a"]) if gate.relative else gate.amount
    noise = row["ci_low"] <= 0 <= row["ci_high"]
    outcome: Outcome = "inconclusive" if noise else "regressed"
    if loss <= tolerance or math.isclose(loss, tolerance):
        outcome = "ok"
    smallest = 100 * (row["ci_high"] - row["ci_low"]) / 2
    text = (
        f"{_label(row)} {row['a']:.4f} -> {row['b']:.4f}, "
        f"{points(row['delta'], row['ci_low'], row['ci_high'])}, tolerance {amount}; "
        f"smallest detectable drop about {smallest:.1f} pp (n = {row['n']})"
    )
    return GateResult(name, outcome, text)


def _label(row: dict[str, Any]) -> str:
    """The metric, with the group or explainer that tells its values apart."""
    if not _missing(row["explainer"]):
        return f"{row['metric']}[{row['explainer']}]"
    if row["metric"] == "group_accuracy":
        return f"{row['metric']}[{row['group']}]"
    return str(row["metric"])


def _missing(value: Any) -> bool:
    return value is None or value != value  # None, or NaN from the frame


def _sign(metric: str) -> int:
    return 1 if METRIC_REGISTRY.entry(metric).info["higher_is_better"] else -1


def _split(text: str, example: str) -> tuple[str, str]:
    metric, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not metric:
        raise _bad_value(text, "a gate is METRIC=VALUE", example)
    if METRIC_REGISTRY.entry(metric).info["higher_is_better"] is None:
        raise _bad_value(text, f"{metric} has no direction, so it cannot be a gate", example)
    return metric, value


def _bad_value(text: str, what: str, example: str) -> UsageError:
    return UsageError(f'cannot read the gate "{text}": {what}', next_step=f"write {example}")
