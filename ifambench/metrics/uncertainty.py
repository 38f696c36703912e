"""Intervals and tests in closed form: rates, weighted sums of rates, paired rates, seeds.

A rate has the Wilson interval, a fixed weighted sum of rates the MOVER interval made from Wilson
limits, a paired difference of two rates the Bonett-Price interval and the McNemar test. Means of
per-image scores and differences of minima are resampled, see `resampling`. Which one is used for
which number, and how often each covers the truth, is in `docs/statistics.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

EXACT_BELOW = 25
"""Discordant pairs below which the McNemar test is the exact one."""

Z95 = NormalDist().inv_cdf(0.975)
"""Half width of a 95 % interval of a standard normal number."""


class Interval(NamedTuple):
    """Lower and upper limit."""

    low: float
    high: float


class Inference(NamedTuple):
    """Lower and upper limit, and the two-sided p-value of "the quantity is 0"."""

    low: float
    high: float
    p: float


def wilson(successes: float, n: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a rate; it holds successes / n and stays inside [0, 1].

    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical
    inference, JASA 22.

    >>> [round(limit, 4) for limit in wilson(8, 10)]
    [0.4902, 0.9433]

    Raises:
        ValueError: If n is not positive or successes lies outside [0, n].
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    z2 = _z(level) ** 2
    rate = successes / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) + z2 / (4 * n)) / n) / (1 + z2 / n)
    low = max(0.0, min(centre - half, rate))  # min and max: the last bit can be off
    return Interval(low, min(1.0, max(centre + half, rate)))


def near_ties(successes: Sequence[float], ns: Sequence[int], level: float = 0.95) -> list[int]:
    """Groups within one Wilson half-width of the worst group, without the worst group itself.

    For these the data do not say which group is worst, and the observed minimum is biased low.

    >>> near_ties([80, 81, 95], [100, 100, 100])
    [1]
    """
    rates = np.asarray(successes, dtype=float) / np.asarray(ns, dtype=float)
    worst = int(np.argmin(rates))
    low, high = wilson(successes[worst], ns[worst], level)
    near = rates - rates[worst] <= (high - low) / 2
    return [index for index in map(int, np.flatnonzero(near)) if index != worst]


def smallest_rate(successes: Sequence[float], ns: Sequence[int], level: float = 0.95) -> Interval:
    """Interval of the smallest of several rates that allows for near ties.

    The observed minimum is too low on average when groups tie, so the interval of the group that is
    worst in the data lies too low. Its lower limit holds all the same, because the smallest rate is
    at most the rate of any group that is truly worst. The upper limit is the smallest one of the
    groups that may be worst, each at tail alpha / (2 K) for K of them (Bonferroni). Without near
    ties it is the Wilson interval.

    >>> smallest_rate([80, 99], [100, 100]) == wilson(80, 100)
    True
    """
    rates = np.asarray(successes, dtype=float) / np.asarray(ns, dtype=float)
    worst = int(np.argmin(rates))
    candidates = [worst, *near_ties(successes, ns, level)]
    wider = 1 - (1 - level) / len(candidates)
    low = wilson(successes[worst], ns[worst], level).low
    return Interval(low, min(wilson(successes[k], ns[k], wider).high for k in candidates))


def mover_weighted_sum(
    weights: Sequence[float], successes: Sequence[float], ns: Sequence[int], level: float = 0.95
) -> Interval:
    """Interval of sum_i w_i p_i from the Wilson limits of independent rates p_i.

    With limits (l_i, u_i) of p_i and w_i >= 0 the lower limit is
    sum w_i p_i - sqrt(sum (w_i (p_i - l_i))^2), the upper one alike with u_i - p_i; a negative
    weight swaps its two limits. One weight of 1 is Wilson; weights of sum 1 stay in [0, 1].

    Source: G. Y. Zou and A. Donner (2008), Construction of confidence limits about effect
    measures: a general approach, Statistics in Medicine 27 (method of variance estimates recovery).

    >>> mover_weighted_sum([1.0], [8], [10]) == wilson(8, 10)
    True
    """
    w = np.asarray(weights, dtype=float)
    rates = np.asarray(successes, dtype=float) / np.asarray(ns, dtype=float)
    limits = np.array([wilson(x, n, level) for x, n in zip(successes, ns, strict=True)])
    below, above = rates - limits[:, 0], limits[:, 1] - rates
    total = float(w @ rates)
    down = math.hypot(*(w * np.where(w >= 0, below, above)))
    up = math.hypot(*(w * np.where(w >= 0, above, below)))
    return Interval(total - down, total + up)


def bonett_price(only_a: int, only_b: int, n: int, level: float = 0.95) -> Interval:
    """Interval of the paired difference of two rates, b - a, on the same n images.

    Wald interval after adding one image to each discordant cell, so it has a width even when no
    image is judged differently.

    Source: D. G. Bonett and R. M. Price (2012), Adjusted Wald confidence interval for a difference
    of binomial proportions based on paired data, Journal of Educational and Behavioral Statistics
    37; recommended by Fagerland, Lydersen and Laake (2014), Statistics in Medicine 33.

    Args:
        only_a: Images that only a has right.
        only_b: Images that only b has right.
        n: All images.
        level: Confidence level.

    >>> [round(limit, 4) for limit in bonett_price(10, 30, 100)]
    [0.0775, 0.3147]
    """
    if n <= 0 or only_a < 0 or only_b < 0 or only_a + only_b > n:
        raise ValueError(f"impossible pair counts: {only_a} and {only_b} of {n}")
    lost, won = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    centre = won - lost
    half = _z(level) * math.sqrt((won + lost - centre**2) / (n + 2))
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))


def mcnemar(b: int, c: int) -> float:
    """Two-sided p-value that both discordant cells of a paired 2x2 table are equally likely.

    Given b + c, b is binomial with rate 1/2. Below 25 discordant pairs the exact p-value
    P(|B - m/2| >= |b - m/2|), which never exceeds its level; from there on its mid-p form, which
    counts the observed table half. The exact test is far too cautious in general, the mid-p test
    is not, and it needs no continuity correction.

    Source: Q. McNemar (1947), Psychometrika 12; M. W. Fagerland, S. Lydersen and P. Laake (2013),
    The McNemar test for binary matched-pairs data, BMC Medical Research Methodology 13:91.

    >>> mcnemar(1, 7)
    0.0703125
    >>> mcnemar(0, 0)
    1.0
    """
    from scipy.stats import binom

    pairs, smaller = b + c, min(b, c)
    twice = 2 * float(binom.cdf(smaller, pairs, 0.5))
    if pairs >= EXACT_BELOW:
        twice -= float(binom.pmf(smaller, pairs, 0.5))
    return min(1.0, twice)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down p-values: rejecting those below alpha keeps the family-wise error at alpha.

    The i-th smallest of m is multiplied by m - i + 1; the results are made monotone and cut at 1.

    Source: S. Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def welch(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Inference:
    """Welch's t interval of mean(b) - mean(a) of two independent samples of two or more values.

    Source: B. L. Welch (1947), The generalization of Student's problem, Biometrika 34.

    >>> [round(x, 4) for x in welch([0.0, 1.0, 2.0], [4.0, 5.0, 6.0])]
    [1.733, 6.267, 0.008]
    """
    va, vb = (float(np.var(x, ddof=1)) / len(x) for x in (a, b))
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)) if va + vb else 1.0
    return _student(float(np.mean(b) - np.mean(a)), math.sqrt(va + vb), freedom, level)


def paired_t(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Inference:
    """Student's t interval of the mean of b - a over two or more pairs.

    >>> [round(x, 4) for x in paired_t([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])]
    [-0.4841, 4.4841, 0.0742]
    """
    gaps = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    error = float(gaps.std(ddof=1)) / math.sqrt(gaps.size)
    return _student(float(gaps.mean()), error, gaps.size - 1, level)


def _student(estimate: float, error: float, freedom: float, level: float) -> Inference:
    """Without spread the interval is a point and the p-value 0 or 1."""
    if error == 0:
        return Inference(estimate, estimate, float(estimate == 0))
    from scipy.special import stdtr, stdtrit  # what scipy.stats.t calls, a hundred times slower

    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(estimate) / error))
    return Inference(estimate - half, estimate + half, p)


def _z(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)
