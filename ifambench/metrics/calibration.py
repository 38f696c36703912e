"""How far the probability of the predicted class is from the share of right predictions.

Expected calibration error (Naeini et al. 2015; Guo et al. 2017, https://arxiv.org/abs/1706.04599):
the images are put into 15 bins of equal width by the probability p of the predicted class, bin b
holding (b - 1) / 15 < p <= b / 15, and

    ECE = sum_b (n_b / n) |share of right predictions in b - mean p in b|.

It has no interval: the absolute values make it larger than the truth on average, the more so the
fewer images a bin holds, and resampled data add to that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.rows import make_row, select_images

METRICS: dict[str, dict[str, Any]] = {
    "expected_calibration_error": {
        "build": "calibration_rows",
        "summary": "Mean gap of confidence and accuracy over 15 bins of equal width",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
}

BINS = 15


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS
) -> float:
    """The error by the definition above.

    Args:
        confidence: (N,) probability of the predicted class.
        correct: (N,) whether the prediction is right.
        bins: Number of bins.

    >>> round(expected_calibration_error([0.9, 0.9, 0.6], [True, False, True]), 4)
    0.4
    """
    p, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    index = np.clip(np.ceil(p * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=right - p, minlength=bins)
    return float(np.abs(gaps).sum() / p.size)


def calibration_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """The row of this file, from the unchanged images of the evaluated split."""
    images, name = select_images(tables.predictions, context), "expected_calibration_error"
    if "prob_pred" not in images or images.empty:
        return [make_row(METRICS, name, None, 0, reason="no probabilities are stored")]
    value = expected_calibration_error(images["prob_pred"], images["correct"])
    remark = "no interval: resampling makes an absolute error larger"
    return [make_row(METRICS, name, value, len(images), reason=remark)]
