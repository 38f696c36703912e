"""Can images of a class be told from images that only show its spurious feature?

For a spurious feature of class k the positives are images of k and the negatives images that show
the feature without k; both carry y = k, so that `prob_true` is the probability of class k for both.
`spurious_ap` is the average precision of that probability,

    AP = sum over thresholds t, falling, of (recall(t) - recall(t before)) precision(t),

equal probabilities sharing a threshold, and its mean over the features. (Neuhaus et al. 2023,
https://arxiv.org/abs/2212.04871, whose "spurious mean AUC" is this average precision.)

The interval is the value ± z times the bootstrap standard error, cut at 0 and 1. Percentiles of the
draws would lie too high: an image that is drawn twice shares a threshold with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.on_request import in_cell
from ifambench.metrics.rows import make_row, select_images
from ifambench.metrics.uncertainty import Z95

METRICS: dict[str, dict[str, Any]] = {
    "spurious_ap": {
        "build": "spurious_rows",
        "summary": "Mean average precision of a class against images of its spurious feature only",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
        "params": {"positive": "cell", "negative": "cell", "feature": "attribute?"},
    },
}

Scores = NDArray[np.float64]


def average_precision(positive: ArrayLike, negative: ArrayLike) -> float:
    """Average precision of scores, larger meaning positive.

    Raises:
        ValueError: If there is no positive image.

    >>> round(average_precision([0.9, 0.4], [0.6]), 4)
    0.8333
    """
    p, q = np.asarray(positive, dtype=float), np.asarray(negative, dtype=float)
    if not p.size:
        raise ValueError("need a positive image")
    ones = np.ones((1, p.size)), np.ones((1, q.size))
    return float(_weighted_precision(p, q, *ones)[0])


def spurious_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """The row of this file, from the unchanged images, when the protocol asks for it."""
    if "spurious_ap" not in context.metrics:
        return []
    images = select_images(tables.predictions, context)
    found = list(_features(images, context.metrics["spurious_ap"], context))
    pairs = [(p, q) for p, q in found if p.size]
    if not pairs:
        reason = "no class has both positive and negative images"
        return [make_row(METRICS, "spurious_ap", None, 0, reason=reason)]
    value = float(np.mean([average_precision(p, q) for p, q in pairs]))
    n = sum(p.size + q.size for p, q in pairs)
    lone = len(found) - len(pairs)
    remark = f"{lone} of {len(found)} features have no positive image" if lone else None
    if min(min(p.size, q.size) for p, q in pairs) < 2:
        alone = "no interval: a feature has a single image on a side"
        remark = "; ".join(text for text in (remark, alone) if text)
        return [make_row(METRICS, "spurious_ap", value, n, reason=remark)]
    draws = np.mean([_draws(p, q, index, context) for index, (p, q) in enumerate(pairs)], axis=0)
    half = Z95 * float(draws.std(ddof=1))
    limits = {"ci_low": max(0.0, value - half), "ci_high": min(1.0, value + half)}
    fields = limits | {"ci_method": f"normal_bootstrap_{context.resamples}"}
    return [make_row(METRICS, "spurious_ap", value, n, reason=remark, **fields)]


def _features(
    images: pd.DataFrame, params: Mapping[str, Any], context: ScoreContext
) -> Iterator[tuple[Scores, Scores]]:
    """Scores of the positive and the negative images of each feature that has negative ones."""
    sides = [images[in_cell(images, params[side], context)] for side in ("positive", "negative")]
    keys = ["y"] if "feature" not in params else ["y", f"a_{params['feature']}"]
    own = {y: part["prob_true"].to_numpy(dtype=float) for y, part in sides[0].groupby("y")}
    for (y, *_), part in sides[1].groupby(keys, sort=True):
        yield own.get(y, np.empty(0)), part["prob_true"].to_numpy(dtype=float)


def _draws(p: Scores, q: Scores, index: int, context: ScoreContext) -> Scores:
    """Average precision of resampled images, each side within itself."""
    rng = np.random.default_rng((context.seed, index))
    weights = [
        rng.multinomial(side.size, np.full(side.size, 1 / side.size), size=context.resamples)
        for side in (p, q)
    ]
    return _weighted_precision(p, q, weights[0], weights[1])


def _weighted_precision(p: Scores, q: Scores, wp: NDArray[Any], wq: NDArray[Any]) -> Scores:
    """Average precision with (R, P) and (R, Q) weights of the images, (R,)."""
    scores = np.concatenate([p, q])
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of equal scores
    hits = np.concatenate([wp, np.zeros_like(wq)], axis=1)[:, order].cumsum(axis=1)[:, last]
    shown = np.concatenate([wp, wq], axis=1)[:, order].cumsum(axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0)
    precision = np.divide(hits, shown, out=np.zeros(hits.shape), where=shown > 0)
    return np.asarray((gained * precision).sum(axis=1) / wp.sum(axis=1), dtype=np.float64)
