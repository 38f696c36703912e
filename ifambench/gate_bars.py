"""The bars of gates as they are written: `worst_group_accuracy=0.85`, `srg:ifam-mask=5%`.

A bar names a metric, and after a colon the one group, explainer or variant that it is about;
without one it is about every value of the metric.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ifambench.errors import UsageError
from ifambench.metrics.score import METRIC_REGISTRY

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_IN_POINTS = ("fraction", "probability", "ratio")
"""Units in which a hundredth is a point (pp)."""


@dataclass(frozen=True)
class Floor:
    """The candidate's value must not be worse than `bound`.

    Attributes:
        metric: Name of the metric.
        bound: The bar, in the unit of the metric.
        scope: Group, explainer or variant; None for all.
    """

    metric: str
    bound: float
    scope: str | None = None


@dataclass(frozen=True)
class Drop:
    """The candidate must not be worse than the baseline by more than `amount`.

    Attributes:
        metric: Name of the metric.
        amount: Tolerance: absolute, or the share of the baseline's value when `relative`.
        relative: True for `%`, False for `pp`.
        scope: Group, explainer or variant; None for all.
    """

    metric: str
    amount: float
    relative: bool
    scope: str | None = None


def parse_floor(text: str) -> Floor:
    """Read `metric=bound`; the bound is in the unit of the metric, so 85 % is 0.85.

    For a metric where lower is better the bound is the largest value allowed.

    >>> parse_floor("worst_group_accuracy=0.85")
    Floor(metric='worst_group_accuracy', bound=0.85, scope=None)

    Raises:
        UsageError: If the metric is unknown or has no direction, or the bound is not a number.
    """
    example = "worst_group_accuracy=0.85"
    metric, scope, value = _split(text, example)
    if not re.fullmatch(_NUMBER, value):
        raise _bad_bar(text, "the bound is not a number", example)
    if _unit(metric) == "fraction" and abs(float(value)) > 1:
        raise _bad_bar(text, f"{metric} is a fraction of 1", f"{metric}=0.85")
    return Floor(metric, float(value), scope)


def parse_drop(text: str) -> Drop:
    """Read `metric=1pp` (points) or `metric=5%` (of the baseline's value).

    >>> parse_drop("group_accuracy:water=1pp")
    Drop(metric='group_accuracy', amount=0.01, relative=False, scope='water')
    >>> parse_drop("bg_gap=5%")
    Drop(metric='bg_gap', amount=0.05, relative=True, scope=None)

    Raises:
        UsageError: If the unit is missing or does not fit, the tolerance is negative, or the
            metric is unknown.
    """
    example = "worst_group_accuracy=1pp"
    metric, scope, value = _split(text, example)
    found = re.fullmatch(rf"({_NUMBER})\s*(pp|%)", value)
    if not found:
        raise _bad_bar(text, "a drop needs its unit, pp (points) or % (relative)", example)
    if float(found[1]) < 0:
        raise _bad_bar(text, "a drop is not negative", example)
    if found[4] == "pp" and _unit(metric) not in _IN_POINTS:
        raise _bad_bar(text, f"{metric} is a {_unit(metric)}, which has no points", f"{metric}=5%")
    return Drop(metric, float(found[1]) / 100, found[4] == "%", scope)


def in_points(metric: str) -> bool:
    """Whether differences of the metric are points, hundredths of a fraction."""
    return _unit(metric) in _IN_POINTS


def _unit(metric: str) -> str:
    return str(METRIC_REGISTRY.entry(metric).info["unit"])


def _split(text: str, example: str) -> tuple[str, str | None, str]:
    """Metric, scope and value; names of groups and models can hold an equals sign, values not."""
    name, equals, value = (part.strip() for part in text.rpartition("="))
    metric, colon, scope = (part.strip() for part in name.partition(":"))
    if not equals or not metric:
        raise _bad_bar(text, "a gate is METRIC=VALUE", example)
    if colon and not scope:
        raise _bad_bar(text, "no group or explainer after the colon", "srg:ifam-mask=0.1")
    if METRIC_REGISTRY.entry(metric).info["higher_is_better"] is None:
        raise _bad_bar(text, f"{metric} has no direction, so it cannot be a gate", example)
    return metric, scope or None, value


def _bad_bar(text: str, what: str, example: str) -> UsageError:
    return UsageError(f'cannot read the gate "{text}": {what}', next_step=f"write {example}")
