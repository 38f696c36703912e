"""Paired differences b - a of the metrics by class, of the minority groups, and of the AUROC.

The difference of two AUROCs of the same images has DeLong's variance: with placements v of the
positive and w of the negative images (`discrimination.placements`), var(v_b - v_a) / m +
var(w_b - w_a) / n.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd

from ifambench.metrics.base import ScoreContext
from ifambench.metrics.discrimination import METRICS as AREAS
from ifambench.metrics.discrimination import placements, scored_sides
from ifambench.metrics.paired import (
    PairedRow,
    average_row,
    cell_counts,
    paired_row,
    undefined,
    worst_row,
)
from ifambench.metrics.rows import select_images
from ifambench.metrics.uncertainty import Z95, Inference


def class_rows(pairs: pd.DataFrame, context: ScoreContext) -> list[PairedRow]:
    """Worst class, mean over classes and, where declared, worst minority group.

    Args:
        pairs: From `paired.pair_images`.
        context: Groups, labels and statistics.
    """
    classes = sorted(pairs["y"].unique())
    counts = cell_counts(pairs, classes, by="y")
    names = [context.class_name(int(y)) for y in classes]
    equal = np.full(len(classes), 1 / len(classes))
    rows = [
        worst_row("worst_class_accuracy", counts, names),
        average_row("class_mean_accuracy", counts, equal, context),
    ]
    minority = [name for name in context.groups if name in context.minority]
    counts = cell_counts(pairs, minority)
    if minority and (counts.sum(axis=1) > 0).all():
        rows.append(worst_row("minority_worst_accuracy", counts, minority))
    return rows


def auroc_rows(a: pd.DataFrame, b: pd.DataFrame, context: ScoreContext) -> list[PairedRow]:
    """The AUROCs that the protocol asks for, over the images both runs judged."""
    return [_auroc_row(name, a, b, context) for name in AREAS if name in context.metrics]


def _auroc_row(name: str, a: pd.DataFrame, b: pd.DataFrame, context: ScoreContext) -> PairedRow:
    judged = [select_images(side, context) for side in (a, b)]
    sides = [scored_sides(images, context.metrics[name], context) for images in judged]
    pairs = [
        mine[["id", "score"]].merge(other[["id", "score"]], on="id")
        for mine, other in zip(*sides, strict=True)
    ]
    n = sum(map(len, pairs))
    if any(len(side) < 2 for side in pairs):
        return undefined(name, n)
    of_a, of_b = (
        placements(pairs[0][column], pairs[1][column]) for column in ("score_x", "score_y")
    )
    gaps = [after - before for before, after in zip(of_a, of_b, strict=True)]
    error = float(np.sqrt(sum(side.var(ddof=1) / side.size for side in gaps)))
    means = (float(of_a[0].mean()), float(of_b[0].mean()))
    return paired_row(name, means, n, _normal(means[1] - means[0], error), "delong")


def _normal(delta: float, error: float) -> Inference:
    """Interval and p-value of a normal estimate; without spread a point, and 0 or 1."""
    if error == 0:
        return Inference(delta, delta, float(delta == 0))
    p = 2 * NormalDist().cdf(-abs(delta) / error)
    return Inference(delta - Z95 * error, delta + Z95 * error, p)
