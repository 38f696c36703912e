"""How well the score of the positive class ranks images: AUROC, whole and on the conflicting cells.

AUROC is the share of pairs of a positive and a negative image in which the positive has the larger
score, a tie counting half (Mann and Whitney 1947). `robust_auroc` takes only the positives and the
negatives whose artefact speaks for the other class (Saab et al. 2022, chest tubes in SIIM-ACR).
The score is the logit of the positive class minus the other one.

The interval is DeLong's (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44) on the logit scale,
which keeps it between 0 and 1. Where DeLong's variance is 0 (perfect separation, or a single image
on a side) it would have no width; there it is Wilson's with the images of the smaller side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.on_request import cell_name, in_cell
from ifambench.metrics.rows import make_row, select_images
from ifambench.metrics.uncertainty import Z95, wilson

METRICS: dict[str, dict[str, Any]] = {
    "auroc": {
        "build": "auroc_rows",
        "summary": "Area under the ROC curve of the positive class, for two labels",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
        "labels": 2,
        "params": {"positive_label": "label?"},
    },
    "robust_auroc": {
        "build": "auroc_rows",
        "summary": "AUROC of the positives and negatives whose artefact speaks against the label",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
        "labels": 2,
        "params": {"positive": "cell", "negative": "cell", "positive_label": "label?"},
    },
}


class Area(NamedTuple):
    """An AUROC with its interval and how that was made."""

    value: float
    low: float
    high: float
    method: str


def placements(
    positive: ArrayLike, negative: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each positive the share of negatives below it, for each negative of positives above it.

    Ties count half. The mean of either is the AUROC.

    >>> [side.tolist() for side in placements([2.0, 1.0], [1.0, 0.0])]
    [[1.0, 0.75], [0.75, 1.0]]
    """
    p, q = np.asarray(positive, dtype=float), np.asarray(negative, dtype=float)
    above, below = np.sort(p), np.sort(q)
    first = np.searchsorted(below, p, "left") + np.searchsorted(below, p, "right")
    second = np.searchsorted(above, q, "left") + np.searchsorted(above, q, "right")
    return first / (2 * q.size), 1 - second / (2 * p.size)


def auroc(positive: ArrayLike, negative: ArrayLike) -> Area:
    """The area and its 95 % interval, from the scores of the positive and the negative images.

    Raises:
        ValueError: If a side is empty.

    >>> auroc([2.0, 1.0], [1.0, 0.0]).value
    0.875
    """
    fewest = min(np.size(positive), np.size(negative))
    if fewest == 0:
        raise ValueError("need a positive and a negative image")
    first, second = placements(positive, negative)
    value = float(first.mean())
    variance = 0.0
    if fewest > 1:
        variance = first.var(ddof=1) / first.size + second.var(ddof=1) / second.size
    if variance <= 0 or not 0 < value < 1:
        return Area(value, *wilson(value * fewest, fewest), "wilson_smaller_side")
    centre = math.log(value / (1 - value))
    half = Z95 * math.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-(centre + side))) for side in (-half, half))
    return Area(value, low, high, "delong_logit")


def auroc_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of the metrics that the protocol asks for, from the unchanged images."""
    asked = {name: context.metrics[name] for name in METRICS if name in context.metrics}
    if not asked:
        return []
    images = select_images(tables.predictions, context)
    return [_auroc_row(name, params, images, context) for name, params in asked.items()]


def scored_sides(
    images: pd.DataFrame, params: Mapping[str, Any], context: ScoreContext
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The positive and the negative images of a metric of this file, with the column `score`.

    `score` is the logit of the positive class (`positive_label`, by default the second label) minus
    the other one.
    """
    label = params.get("positive_label")
    target = 1 if label is None else context.labels.index(label)
    is_positive = images["y"] == target
    images = images.assign(score=images["margin"].where(is_positive, -images["margin"]))
    sides = []
    for side, truth in (("positive", is_positive), ("negative", ~is_positive)):
        sides.append(images[truth & in_cell(images, params.get(side, {}), context)])
    return sides[0], sides[1]


def _auroc_row(
    name: str, params: Mapping[str, Any], images: pd.DataFrame, context: ScoreContext
) -> MetricRow:
    sides = dict(zip(("positive", "negative"), scored_sides(images, params, context), strict=True))
    for side, part in sides.items():
        if part.empty:
            where = cell_name(params.get(side, {}))
            reason = f"no {side} image" + (f" with {where}" if where else "")
            return make_row(METRICS, name, None, 0, reason=reason)
    found = auroc(sides["positive"]["score"], sides["negative"]["score"])
    limits = {"ci_low": found.low, "ci_high": found.high, "ci_method": found.method}
    return make_row(METRICS, name, found.value, sum(map(len, sides.values())), **limits)
