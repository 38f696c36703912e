"""Bootstrap of means of per-image scores and of paired sums, within groups, seeded.

Minima are *not* here: the percentile bootstrap of a minimum, and of the difference of two, fails
when groups tie. The worst group of a run has the Wilson interval of the group that is worst in the
data, the difference of two runs the interval of `paired_worst`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ifambench.metrics.uncertainty import Inference

MEAN = "expanded_bootstrap"
"""How `bootstrap_mean` is called in records."""

_ROUNDING = 1e-12
"""A spread of resampled means below this share of the mean is that of equal values."""

_BLOCK = 2**19
"""Resampling counts held in one array (4 MiB)."""


def bootstrap_mean(
    values: ArrayLike,
    strata: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Inference:
    """Expanded percentile bootstrap of the mean of per-image values, resampled within the strata.

    The images of each stratum are drawn with replacement, so the stratum sizes stay what they are.
    A resample of m images varies with the m-th instead of the (m - 1)-th part of their squares, and
    percentiles know nothing of the spread being estimated: with few images per stratum both make
    the plain interval too short. So the deviations of a stratum are multiplied by
    sqrt(m / (m - 1)), and the percentiles are those of the normal distribution at the quantile of
    Student's t, its degrees of freedom by Satterthwaite from the spread of each stratum. Where so
    few resamples are possible that the outermost one is too likely for that percentile (up to four
    images, say), the limit is Student's if that is wider. Strata of one image are joined, with the
    smallest of the others if there is only one of them: their spread counts the differences
    between the strata too. Memory is bounded (blocks of counts), whatever the number of images.

    Source: B. Efron and R. J. Tibshirani (1993), An Introduction to the Bootstrap, chapter 13;
    T. C. Hesterberg (2015), What Teachers Should Know About the Bootstrap, section 4.1 (expanded
    percentile interval); W. G. Cochran (1977), Sampling Techniques, 5.4 (degrees of freedom), 5A.12
    (collapsed strata).

    Args:
        values: One finite number per image, in a fixed order: the draws go by position.
        strata: (B,) the stratum (group) of each image.
        resamples: Number of resamples.
        seed: Seed; equal seeds give equal draws, so columns over the same images are paired.
        level: Confidence level.
        bounds: What a mean can be; limits are cut there.

    Returns:
        Limits and p-value; limits of NaN and p = 1 for a single image, which says nothing about
        the spread.
    """
    numbers = np.asarray(values, dtype=float)
    if not numbers.size or not np.isfinite(numbers).all():
        raise ValueError("need at least one value, all finite")
    if numbers.size == 1:
        return Inference(math.nan, math.nan, 1.0)
    labels, draws = _joined(strata), np.zeros(resamples)
    parts = [numbers[labels == index] for index in range(labels.max() + 1)]
    for index, part in enumerate(parts):
        draws += _expanded(_resampled_sums(part, resamples, (seed, index)), part)
    mean, (least, most) = float(numbers.mean()), bounds
    low, high, p = _mean_inference(draws / numbers.size, mean, level, _freedom(parts))
    # equal values: the last bit can be off
    return Inference(max(least, min(low, mean)), min(most, max(high, mean)), p)


def _joined(strata: ArrayLike) -> NDArray[np.int64]:
    """(B,) numbers of the strata from 0, those of one image joined."""
    _, codes, sizes = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    single = sizes == 1
    if single.sum() == 1 and sizes.size > 1:
        single[np.where(single, np.inf, sizes).argmin()] = True
    codes = np.where(single[codes], single.argmax(), codes)
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)


def _freedom(parts: list[NDArray[np.float64]]) -> float:
    """Degrees of freedom of the spread of a sum over strata (Satterthwaite), all if none varies."""
    squares = np.array([part.size * part.var(ddof=1) for part in parts])
    free = np.array([part.size - 1 for part in parts])
    if not squares.max() > 0:
        return float(free.sum())
    shares = squares / squares.max()
    return float(shares.sum() ** 2 / (shares**2 / free).sum())


def _expanded(sums: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resampled sums of a stratum, with the variance that the sum of its values has."""
    total, size = values.sum(), values.size
    return np.asarray(total + math.sqrt(size / (size - 1)) * (sums - total), dtype=np.float64)


def _mean_inference(
    draws: NDArray[np.float64], mean: float, level: float, freedom: float
) -> Inference:
    """Limits of a mean and the p-value at which they would just reach 0.

    A share of draws stands for the one that Student's t has at the normal quantile. Beyond the
    outermost draw the tail is the normal one, so p is not held up by the number of resamples.
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    reach, spread = -float(stdtrit(freedom, 0.5 - level / 2)), float(draws.std())
    tail = float(ndtr(-reach))
    low, high = np.quantile(draws, [tail, 1 - tail])
    likely = tail + 1.5 / draws.size  # a percentile between two draws has at most 1 / size more
    if (draws <= low).mean() > likely:
        low = min(low, mean - reach * spread)
    if (draws >= high).mean() > likely:
        high = max(high, mean + reach * spread)
    share = _share_beyond(draws)
    errors = -float(ndtri(share)) if share < 0.5 else 0.0
    if share * (draws.size + 1) <= 1 and spread > _ROUNDING * abs(mean):
        errors = max(errors, abs(mean) / spread)
    return Inference(float(low), float(high), 2 * float(stdtr(freedom, -errors)))


def bootstrap_paired_rates(
    counts: ArrayLike,
    outcomes: ArrayLike,
    weights: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Inference:
    """Percentile bootstrap of a weighted sum of stratum means of a paired per-image outcome.

    An outcome takes few values: -1, 0, 1 for the difference of two right-or-wrong judgements, -2
    to 2 for the difference of two such differences. Resampling the images of a stratum is then
    one multinomial draw of its counts, so the cost does not depend on the number of images.

    Args:
        counts: (strata, values): images of each stratum with each outcome value.
        outcomes: (values,): the outcome values.
        weights: (strata,): weight of each stratum's mean.
        resamples: Number of resamples.
        seed: Seed of the draws.
        level: Confidence level.
    """
    means = _multinomial_rates(counts, resamples, seed) @ np.asarray(outcomes, dtype=float)
    return _inference(means @ np.asarray(weights, dtype=float), level)


def bootstrap_statistic(
    counts: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Inference:
    """Percentile bootstrap of any statistic of the shares of outcomes within strata.

    Draws in which the statistic is undefined (NaN) are left out.

    Args:
        counts: (strata, outcomes): images of each stratum with each outcome.
        statistic: From the resampled shares (resamples, strata, outcomes) to (resamples,) numbers.
        resamples: Number of resamples.
        seed: Seed of the draws.
        level: Confidence level.
    """
    draws = statistic(_multinomial_rates(counts, resamples, seed))
    return _inference(draws[~np.isnan(draws)], level)


def _inference(draws: NDArray[np.float64], level: float) -> Inference:
    """Percentile limits, and the p-value at which they would just reach 0."""
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return Inference(float(low), float(high), min(1.0, 2 * _share_beyond(draws)))


def _share_beyond(draws: NDArray[np.float64]) -> float:
    """The share of draws on the other side of 0.

    The draw of the data itself is counted in, so it is never 0 (Davison and Hinkley 1997, 4.2).
    """
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return (beyond + 1) / (draws.size + 1)


def _multinomial_rates(counts: ArrayLike, resamples: int, seed: int) -> NDArray[np.float64]:
    """(resamples, strata, values): resampled shares of each value in each stratum."""
    table = np.asarray(counts, dtype=np.int64)
    sizes = table.sum(axis=1)
    if not (sizes > 0).all():
        raise ValueError("a stratum without images cannot be resampled")
    rng = np.random.default_rng(seed)
    shares = table / sizes[:, None]
    drawn = rng.multinomial(sizes, shares, size=(resamples, len(sizes)))
    return np.asarray(drawn / sizes[:, None], dtype=np.float64)


def _resampled_sums(
    values: NDArray[np.float64], resamples: int, seed: tuple[int, int]
) -> NDArray[np.float64]:
    rows = max(1, _BLOCK // values.size)
    blocks = range(0, resamples, rows)
    return np.concatenate(
        [
            _draw_counts(values.size, min(rows, resamples - at), (*seed, at)) @ values
            for at in blocks
        ]
    )


@lru_cache(maxsize=32)
def _draw_counts(size: int, rows: int, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """(rows, size): how often each image is drawn, as float64 for the product.

    Cached because a report takes the mean of tens of columns over the same images.
    """
    picks = np.random.default_rng(seed).integers(0, size, size=(rows, size))
    cells = picks + np.arange(rows)[:, None] * size
    return np.bincount(cells.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
