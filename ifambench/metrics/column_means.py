"""Metrics that are the mean over images of one column of the explanation table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext
from ifambench.metrics.rows import Declared, mean_rows

_COLUMN = {
    "mask_area": "area",
    "pointing_game": "pointing",
    "relevance_auroc": "auroc",
    "relevance_entropy": "entropy",
}


def column_of(metric: str) -> str:
    """The column of the explanation table a metric is the mean of; most have one name for both.

    >>> column_of("pointing_game"), column_of("srg")
    ('pointing', 'srg')
    """
    return _COLUMN.get(metric, metric)


def column_rows(
    declared: Declared,
    reasons: Mapping[str, str],
    frame: pd.DataFrame,
    context: ScoreContext,
    explainer: str,
    *,
    measured: bool = False,
) -> list[MetricRow]:
    """Rows of the metrics whose column the table has, over all images and per group.

    A table of an earlier version lacks columns; what it never measured has no rows, so that its
    scores stay what they were.

    Args:
        declared: The `METRICS` literal.
        reasons: Metric names, each with the reason why it is undefined where no image has a value.
        frame: The rows of one explainer, one per image.
        context: Groups and statistics.
        explainer: Its name.
        measured: Also leave out metrics that are undefined for every image of this explainer, for
            measures that apply to some explainers only.
    """
    rows = []
    for metric, reason in reasons.items():
        column = column_of(metric)
        if column not in frame or (measured and not frame[column].notna().any()):
            continue
        part = frame.assign(**{metric: frame[column]})
        rows += mean_rows(declared, [metric], part, context, undefined=reason, explainer=explainer)
    return rows
