"""The difference of two worst groups, min_g p_b(g) - min_g p_a(g), with near ties.

Let A be the groups that may be worst in run a (the worst one in the data and its near ties) and B
those of run b. For the group j that is truly worst in b and *every* group i of a the difference of
minima is at least p_b(j) - p_a(i), and for the truly worst i and every j at most that. With
limits l_ij, u_ij of p_b(j) - p_a(i) the difference therefore lies between

    min over j in B of max over i in A of l_ij    and    max over i in A of min over j in B of u_ij.

Which of several near ties is worst is not known, hence the outer extremes; the inner ones pick the
best of several limits, so l is taken at level alpha / (2 |A|) and u at alpha / (2 |B|)
(Bonferroni). l_ij and u_ij are Bonett-Price for i = j, where the images are the same, and Newcombe
for two groups. Without near ties this is the interval of two groups, of the same images when both
runs have the same worst group. With near ties it is too wide rather than too short: a bootstrap of
the two minima misses the truth far too often when groups tie in one of the runs
(`benchmarks/coverage.py`).

It is an intersection bound (V. Chernozhukov, S. Lee and A. M. Rosen 2013, Intersection bounds:
estimation and inference, Econometrica 81) with the Bonferroni level in place of a simulated one.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ifambench.metrics.uncertainty import Inference, near_ties

_STEPS = 40
_SMALLEST = 1e-12
"""Smallest p-value that is told apart."""

Limits = tuple[NDArray[np.float64], NDArray[np.float64]]


def worst_difference(counts: ArrayLike, level: float = 0.95) -> Inference:
    """Interval and p-value of the difference b - a of the smallest rates of two runs.

    Args:
        counts: (groups, 4): images both right, only a right, only b right, neither right.
        level: Confidence level; the p-value is the 1 - level at which the interval reaches 0.

    >>> [round(x, 3) for x in worst_difference([[190, 0, 2, 8], [60, 0, 120, 20]])]
    [0.525, 0.663, 0.0]

    Raises:
        ValueError: If a group has no image.
    """
    table = np.asarray(counts, dtype=float)
    return Inference(*worst_limits(table, level), _p_value(table, *candidate_groups(table)))


def worst_limits(counts: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The interval alone."""
    table = np.asarray(counts, dtype=float)
    if not (table.sum(axis=1) > 0).all():
        raise ValueError("a group without images has no accuracy")
    return _limits(table, *candidate_groups(table), 1 - level)


def candidate_groups(table: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """The groups that may be the worst one of a, and of b."""
    ns = table.sum(axis=1)
    found = []
    for right in (table[:, 0] + table[:, 1], table[:, 0] + table[:, 2]):
        worst = int(np.argmin(right / ns))
        near = near_ties(right.tolist(), [int(n) for n in ns])
        found.append(sorted({worst, *near}))
    return found[0], found[1]


def _limits(
    table: NDArray[np.float64], of_a: list[int], of_b: list[int], alpha: float
) -> tuple[float, float]:
    lower, _ = _pair_limits(table, of_a, of_b, _quantile(alpha / (2 * len(of_a))))
    _, upper = _pair_limits(table, of_a, of_b, _quantile(alpha / (2 * len(of_b))))
    low, high = lower.max(axis=1).min(), upper.min(axis=0).max()
    return max(-1.0, float(low)), min(1.0, float(high))


def _p_value(table: NDArray[np.float64], of_a: list[int], of_b: list[int]) -> float:
    """The alpha at which the interval just reaches 0, by bisection of its logarithm."""
    below, above = math.log(_SMALLEST), 0.0
    if _holds_zero(_limits(table, of_a, of_b, 1.0)):
        return 1.0
    for _ in range(_STEPS):
        middle = (below + above) / 2
        if _holds_zero(_limits(table, of_a, of_b, math.exp(middle))):
            below = middle
        else:
            above = middle
    return math.exp(above)


def _holds_zero(limits: tuple[float, float]) -> bool:
    return limits[0] <= 0 <= limits[1]


def _pair_limits(table: NDArray[np.float64], of_a: list[int], of_b: list[int], z: float) -> Limits:
    """(|B|, |A|) limits of p_b(j) - p_a(i): independent groups, but the same images for i = j."""
    ns = table.sum(axis=1)
    rate_a, rate_b = (table[:, 0] + table[:, 1]) / ns, (table[:, 0] + table[:, 2]) / ns
    low_a, high_a = (side[of_a] for side in _wilson(rate_a, ns, z))
    low_b, high_b = (side[of_b] for side in _wilson(rate_b, ns, z))
    a, b = rate_a[of_a], rate_b[of_b]
    gap = b[:, None] - a
    low = gap - np.hypot((b - low_b)[:, None], high_a - a)
    high = gap + np.hypot((high_b - b)[:, None], a - low_a)
    same = np.equal.outer(of_b, of_a)
    paired_low, paired_high = (np.broadcast_to(side[of_a], gap.shape) for side in _own(table, z))
    return np.where(same, paired_low, low), np.where(same, paired_high, high)


def _wilson(rates: NDArray[np.float64], ns: NDArray[np.float64], z: float) -> Limits:
    """`uncertainty.wilson` for arrays and a given quantile."""
    scale = 1 + z**2 / ns
    centre = (rates + z**2 / (2 * ns)) / scale
    half = z * np.sqrt(rates * (1 - rates) / ns + (z / (2 * ns)) ** 2) / scale
    return np.minimum(centre - half, rates), np.maximum(centre + half, rates)


def _own(table: NDArray[np.float64], z: float) -> Limits:
    """`uncertainty.bonett_price` of every group for a given quantile."""
    ns = table.sum(axis=1)
    lost, won = (table[:, 1] + 1) / (ns + 2), (table[:, 2] + 1) / (ns + 2)
    centre = won - lost
    half = z * np.sqrt((won + lost - centre**2) / (ns + 2))
    return centre - half, centre + half


def _quantile(tail: float) -> float:
    return NormalDist().inv_cdf(1 - tail)
