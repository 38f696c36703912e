"""Deletion, insertion and symmetric relevance gain of an explainer, and its gain over random.

Patches are removed (or inserted) in the order of their relevance and the score of one fixed class
is followed. Deletion AUC (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421) is low when the
relevant patches carry the score, insertion AUC is high. With one operator for both curves, removing
the least relevant patches first *is* the insertion curve read backwards, so the symmetric relevance
gain (Bluecher, Vielhaben and Strodthoff 2024, https://arxiv.org/abs/2401.06654) is

    SRG = AUC(least relevant first) - AUC(most relevant first) = AUC(insertion) - AUC(deletion).

It is 0 in expectation for a random order, whatever the model and the operator, and exactly 0 for a
constant model. For an additive score s(x) = b0 + sum of c_p over the patches present, in n steps
and with c_j the contribution of the j-th patch of the order, the trapezoid rule gives

    deletion  = b0 + (1/n) sum_j c_j (j - 1/2)
    insertion = b0 + (1/n) sum_j c_j (n - j + 1/2)
    SRG       = (1/n) sum_j c_j (n + 1 - 2 j).

`random` is the floor: mean curves over several seeded random orders. Means are over per-image
areas, which equals the area under the mean curve because all images share one grid.

SRG splits into two one-sided gains over a random order of the same image, MRG = R - AUC(deletion)
for removing the most relevant patches and LRG = AUC(insertion) - R for removing the least relevant.
A random order read backwards is a random order, so R is the mean of the floor's deletion and
insertion areas, and MRG + LRG = SRG exactly. MRG alone and LRG alone rank explainers by the
operator as much as by the explainer; R itself is the area of the floor.

Another operator than that of the run is part of an explainer's label, `grad-cam@drop`, and is
compared with its own floor, `random@drop`. The areas of logits have no common scale between models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.column_means import column_rows
from ifambench.metrics.rows import explained, mean_rows

METRICS: dict[str, dict[str, Any]] = {
    "deletion_auc": {
        "build": "deletion_rows",
        "summary": "Mean area under the curve of removing the most relevant patches first",
        "higher_is_better": False,
        "unit": "probability",
        "version": 1,
    },
    "insertion_auc": {
        "build": "deletion_rows",
        "summary": "Mean area under the curve of inserting the most relevant patches first",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "srg": {
        "build": "deletion_rows",
        "summary": "Symmetric relevance gain, insertion AUC - deletion AUC; 0 for a random order",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "srg_over_random": {
        "build": "deletion_rows",
        "summary": "Mean per-image difference of SRG to random orders",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "deletion_auc_over_random": {
        "build": "deletion_rows",
        "summary": "Mean per-image difference of deletion AUC to random orders",
        "higher_is_better": False,
        "unit": "probability",
        "version": 1,
    },
    "mrg": {
        "build": "deletion_rows",
        "summary": "Mean gain of removing the most relevant patches first, over a random order",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "lrg": {
        "build": "deletion_rows",
        "summary": "Mean gain of removing the least relevant patches first, over a random order",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "deletion_auc_logit": {
        "build": "deletion_rows",
        "summary": "Deletion AUC of the logit instead of the probability",
        "higher_is_better": False,
        "unit": "logit",
        "version": 1,
    },
    "insertion_auc_logit": {
        "build": "deletion_rows",
        "summary": "Insertion AUC of the logit instead of the probability",
        "higher_is_better": True,
        "unit": "logit",
        "version": 1,
    },
    "srg_logit": {
        "build": "deletion_rows",
        "summary": "Symmetric relevance gain of the logit instead of the probability",
        "higher_is_better": True,
        "unit": "logit",
        "version": 1,
    },
}

FLOOR = "random"
"""The explainer whose relevance is drawn at random."""

_UNDEFINED = "no explained image"
_AREAS = dict.fromkeys(("deletion_auc", "insertion_auc", "srg"), _UNDEFINED)
_LOGIT_AREAS = dict.fromkeys((f"{name}_logit" for name in _AREAS), _UNDEFINED)
_GAINS = ("srg_over_random", "deletion_auc_over_random")
_ONE_SIDED = ("mrg", "lrg")


def curve_auc(fractions: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Area under score curves by the trapezoid rule, over fractions from 0 to 1.

    Args:
        fractions: (S + 1,) shares of the patches removed or inserted: increasing, 0 first, 1 last.
        scores: (..., S + 1) scores.

    Returns:
        (...) areas, in the unit of the scores.

    Raises:
        ValueError: If an end point is missing or the fractions do not increase.

    >>> float(curve_auc([0, 0.5, 1], [1, 0.5, 0]))
    0.5
    """
    x, y = np.asarray(fractions, dtype=float), np.asarray(scores, dtype=float)
    if x.ndim != 1 or x.size < 2 or x[0] != 0 or x[-1] != 1 or (np.diff(x) <= 0).any():
        raise ValueError("fractions must increase from exactly 0 to exactly 1")
    if y.shape[-1] != x.size:
        raise ValueError(f"{x.size} fractions, but {y.shape[-1]} scores")
    return np.asarray(np.trapezoid(y, x, axis=-1), dtype=np.float64)


def operator_of(explainer: str) -> str:
    """The operator that an explainer's label names, with its `@`; empty for that of the run.

    >>> operator_of("grad-cam@drop"), operator_of("grad-cam")
    ('@drop', '')
    """
    return explainer[explainer.find("@") :] if "@" in explainer else ""


def is_floor(explainer: str) -> bool:
    """Whether the label is that of the random floor, under whatever operator."""
    return explainer == FLOOR + operator_of(explainer)


def deletion_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file: per explainer, over all explained images and per group.

    The gains are differences of the same image and operator, so they are paired; the floor itself
    has none. Images that were misclassified are kept (the score is that of the predicted class).
    """
    parts = dict(explained(tables.explanations, context.groups))
    rows = []
    for explainer, frame in parts.items():
        rows += column_rows(METRICS, _AREAS | _LOGIT_AREAS, frame, context, explainer)
        if not is_floor(explainer):
            floor = FLOOR + operator_of(explainer)
            rows += _gain_rows(frame, parts.get(floor), floor, context, explainer)
    return rows


def _gain_rows(
    frame: pd.DataFrame,
    floor: pd.DataFrame | None,
    name: str,
    context: ScoreContext,
    explainer: str,
) -> list[MetricRow]:
    # Tables of earlier versions, which lack the logit, keep the metrics that they had.
    metrics = _GAINS + (_ONE_SIDED if "srg_logit" in frame else ())
    if floor is None:
        reason = f"no random floor: the explainer {name} was not run"
        gains = frame.assign(**dict.fromkeys(metrics, np.nan))
    else:
        reason = "no image was explained with the random floor under the same operator"
        gains = paired_gains(frame, floor)
    return mean_rows(METRICS, metrics, gains, context, undefined=reason, explainer=explainer)


def paired_gains(frame: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """The rows of an explainer whose image the floor has too, with the gains over it."""
    columns = ["id", "operator", *_AREAS]
    pairs = frame.merge(floor[columns], on=["id", "operator"], suffixes=("", "_floor"))
    random_area = (pairs["deletion_auc_floor"] + pairs["insertion_auc_floor"]) / 2
    return pairs.assign(
        srg_over_random=pairs["srg"] - pairs["srg_floor"],
        deletion_auc_over_random=pairs["deletion_auc"] - pairs["deletion_auc_floor"],
        mrg=random_area - pairs["deletion_auc"],
        lrg=pairs["insertion_auc"] - random_area,
    )
