"""Bootstrap of means of per-image scores and of paired sums, within groups, seeded.

Minima are *not* here: the percentile bootstrap of a minimum, and of the difference of two, fails
when groups tie. The worst group of a run has the Wilson interval of the group that is worst in the
data, the difference of two runs the interval of `paired_worst`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ifambench.metrics.uncertainty import Inference

_BLOCK = 2**19
"""Resampling counts held in one array (4 MiB)."""


def bootstrap_mean(
    values: ArrayLike,
    strata: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Inference:
    """Percentile bootstrap of the mean of per-image values, resampled within the strata.

    The images of each stratum are drawn with replacement, so the stratum sizes stay what they are.
    Memory is bounded (blocks of counts), whatever the number of images.

    Source: B. Efron and R. J. Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Args:
        values: One finite number per image, in a fixed order: the draws go by position.
        strata: The stratum of each image.
        resamples: Number of resamples.
        seed: Seed; equal seeds give equal draws, so columns over the same images are paired.
        level: Confidence level.
    """
    numbers, labels = np.asarray(values, dtype=float), np.asarray(strata)
    if not numbers.size or not np.isfinite(numbers).all():
        raise ValueError("need at least one value, all finite")
    draws = np.zeros(resamples)
    for index, label in enumerate(np.unique(labels)):
        draws += _resampled_sums(numbers[labels == label], resamples, (seed, index))
    low, high, p = _inference(draws / numbers.size, level)
    mean = float(numbers.mean())
    return Inference(min(low, mean), max(high, mean), p)  # equal values: the last bit can be off


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
    """Percentile limits, and the p-value at which they would just reach 0.

    The draw of the data itself is counted in, so p is never 0 (Davison and Hinkley 1997, 4.2).
    """
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return Inference(float(low), float(high), min(1.0, 2 * (beyond + 1) / (draws.size + 1)))


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
