"""How concentrated is an explanation?

Of the absolute relevance v = |a| of the n patches:

- Gini coefficient, sum_i (2 i - n - 1) v_(i) / (n sum v) with v ascending (Chalasani et al. 2020,
  https://arxiv.org/abs/1810.06583): 0 for a uniform map, 1 - 1/n for one patch.
- Entropy, -sum p ln p with p = v / sum v (Bhatt, Weller and Moura 2020,
  https://arxiv.org/abs/2005.00631): ln n for a uniform map, 0 for one patch; exp of it is an
  effective number of patches.

A map of zeros has neither. Of a selection of k patches both follow from its area: 1 - k/n and ln k.
Concentrated is not faithful: compare only explainers with like scores of faithfulness.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.column_means import column_rows
from ifambench.metrics.rows import explained

METRICS: dict[str, dict[str, Any]] = {
    "gini": {
        "build": "complexity_rows",
        "summary": "Mean Gini coefficient of the absolute relevance; 0 for a uniform map",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "relevance_entropy": {
        "build": "complexity_rows",
        "summary": "Mean entropy of the absolute relevance in nats; ln n for a uniform map",
        "higher_is_better": None,
        "unit": "nats",
        "version": 1,
    },
}


def gini(relevance: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Gini coefficient of the absolute relevance, per image.

    Args:
        relevance: (N, h, w) signed relevance.

    Returns:
        (N,) values in [0, 1 - 1/n]; NaN for a map of zeros.

    >>> gini(np.array([[[0.0, 0.0, 0.0, -5.0]]])).tolist()
    [0.75]
    """
    values = np.sort(_shares(relevance), axis=1)
    n = values.shape[1]
    weights = 2 * np.arange(1, n + 1) - n - 1
    # Rounding can leave a uniform map a hair below 0; NaN stays NaN.
    return np.asarray(np.maximum((values * weights).sum(axis=1) / n, 0), dtype=np.float64)


def entropy(relevance: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Entropy in nats of the absolute relevance as shares of its sum, per image.

    Args:
        relevance: (N, h, w) signed relevance.

    Returns:
        (N,) values in [0, ln n]; NaN for a map of zeros.
    """
    shares = _shares(relevance)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(np.maximum(-(shares * logs).sum(axis=1), 0), dtype=np.float64)


def complexity_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of both metrics per explainer; none where the table has no such column."""
    reasons = dict.fromkeys(METRICS, "the maps hold zeros only")
    return [
        row
        for explainer, frame in explained(tables.explanations, context.groups)
        for row in column_rows(METRICS, reasons, frame, context, explainer)
    ]


def _shares(relevance: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, n) shares of the absolute relevance, NaN for a map of zeros."""
    values = np.abs(relevance.reshape(len(relevance), -1).astype(np.float64))
    total = values.sum(axis=1, keepdims=True)
    shares = np.full(values.shape, np.nan)
    np.divide(values, total, out=shares, where=total > 0)
    return shares
