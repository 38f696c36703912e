"""A metric over the training seeds of a model: statistics, limits, what tells two models apart.

With two or more seeds on both sides, two models are apart where Welch's interval over seeds
excludes 0, unless no seed differs from another of its model: an interval without width would tell
any two models apart. Else it is the interval of a difference of two independent numbers (MOVER)
from their limits, averaged over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ifambench.metrics.uncertainty import paired_t, welch
from ifambench.records.row import Value
from ifambench.reports.rows import is_fraction

_NO_SPREAD = 1e-12
_FAR = 1e9
"""Limit of a number without an interval."""

STATISTICS = ("_mean", "_std", "_min")
"""What a column of a metric over seeds is called, behind the name of the metric."""


def limits(metric: str, found: Sequence[Value | None]) -> dict[str, float | None]:
    """The 95 % limits of the mean over seeds, or those of the only run.

    Two seeds can have limits far outside of what a fraction can be; what is outside is cut off.
    """
    rows = [row for row in found if row is not None and row.value is not None]
    low = high = None
    if rows and len(rows) == len(found):
        values = [float(row.value or 0.0) for row in rows]
        several = len(values) > 1
        low, high = paired_t([0.0] * len(values), values)[:2] if several else rows[0][1:3]
        if several and is_fraction(metric):
            low, high = max(float(low or 0.0), 0.0), min(float(high or 0.0), 1.0)
    return {"primary_ci_low": low, "primary_ci_high": high}


def statistics(metric: str, found: Sequence[float | None]) -> dict[str, float | None]:
    """Mean, standard deviation (ddof 1) and minimum; all None where a seed has no value."""
    values = [value for value in found if value is not None]
    names = [f"{metric}{kind}" for kind in STATISTICS]
    if len(values) < len(found):
        return dict.fromkeys(names)
    std = _std(values) if len(values) > 1 else None
    return dict(zip(names, (_mean(values), std, min(values)), strict=True))


def _mean(values: Sequence[float]) -> float:
    """The sum is exact, so that neither the order nor the machine matters; nor is numpy faster."""
    return math.fsum(values) / len(values)


def _std(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


@dataclass(frozen=True)
class Sample:
    """The primary metric over seeds, larger being better, with the mean limits of one run."""

    values: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return _mean(self.values)

    @property
    def varies(self) -> bool:
        """Whether the seeds have a spread; those of weights that were given have none."""
        return max(self.values) - min(self.values) > _NO_SPREAD


def sample_of(found: Sequence[Value | None]) -> Sample | None:
    """None when a seed has no value. Where lower is better, all is negated."""
    rows = [row for row in found if row is not None and row.value is not None]
    if len(rows) < len(found):
        return None
    sign = -1.0 if any(row.higher_is_better is False for row in rows) else 1.0
    ends = [sorted((sign * _or(row.ci_low, -_FAR), sign * _or(row.ci_high, _FAR))) for row in rows]
    low, high = (_mean([pair[end] for pair in ends]) for end in (0, 1))
    return Sample(tuple(sign * float(row.value or 0.0) for row in rows), low, high)


def _or(limit: float | None, other: float) -> float:
    return other if limit is None else limit


def distinguishable(leader: Sample, other: Sample) -> bool:
    """Whether the interval of leader - other excludes 0, as the text of the module says."""
    if min(len(leader.values), len(other.values)) > 1 and (leader.varies or other.varies):
        return welch(other.values, leader.values).low > 0
    below = math.hypot(leader.mean - leader.low, other.high - other.mean)
    return leader.mean - other.mean > below
