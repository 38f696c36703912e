"""What every metric file needs: the checked, sorted part of a table, and rows with an interval.

Rows are sorted by image before anything is summed or resampled, so that the order of a table
changes no bit of a result. Direction, unit and version of a row come from the `METRICS` literal of
its file, so that catalogue and results cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.base import MetricRow, ScoreContext
from ifambench.metrics.resampling import MEAN, bootstrap_mean
from ifambench.metrics.uncertainty import bonett_price, mover_weighted_sum, wilson

Declared = Mapping[str, Mapping[str, Any]]

_UNBOUNDED = (-np.inf, np.inf)


def make_row(
    declared: Declared, metric: str, value: float | None, n: int, **fields: Any
) -> MetricRow:
    """A row with the direction, unit and version that the metric declares."""
    stated = {key: declared[metric][key] for key in ("unit", "higher_is_better", "version")}
    return MetricRow(metric=metric, value=value, n=n, **stated, **fields)


def rate_row(
    declared: Declared,
    metric: str,
    successes: int,
    n: int,
    *,
    undefined: str = "no image",
    **fields: Any,
) -> MetricRow:
    """A row for successes / n with its Wilson interval; `undefined` is the reason when n is 0."""
    if n == 0:
        return make_row(declared, metric, None, 0, **(fields | {"reason": undefined}))
    low, high = wilson(successes, n)
    return make_row(
        declared, metric, successes / n, n, ci_low=low, ci_high=high, ci_method="wilson", **fields
    )


def difference_row(
    declared: Declared,
    metric: str,
    before: pd.DataFrame,
    after: pd.DataFrame,
    **fields: Any,
) -> MetricRow:
    """A row for the accuracy before minus the accuracy after, of two tables of images.

    The images of both are paired by id, with the Bonett-Price interval. Where they have no image in
    common (files that cannot be paired) the two samples are independent: Newcombe's interval made
    of the two Wilson intervals, and n counts both.

    Args:
        declared: The `METRICS` literal.
        metric: The name of the metric.
        before: Images with `id` and `correct`.
        after: Likewise.
        **fields: Further fields of the row.
    """
    if before.empty or after.empty:
        return make_row(declared, metric, None, 0, reason="no image", **fields)
    pairs = before[["id", "correct"]].merge(after[["id", "correct"]], on="id")
    if pairs.empty:
        return _unpaired_row(declared, metric, before["correct"], after["correct"], fields)
    lost = int((pairs["correct_x"] & ~pairs["correct_y"]).sum())
    won = int((pairs["correct_y"] & ~pairs["correct_x"]).sum())
    low, high = bonett_price(won, lost, len(pairs))
    limits = {"ci_low": low, "ci_high": high, "ci_method": "bonett_price"}
    return make_row(declared, metric, (lost - won) / len(pairs), len(pairs), **(fields | limits))


def _unpaired_row(
    declared: Declared, metric: str, before: pd.Series, after: pd.Series, fields: dict[str, Any]
) -> MetricRow:
    right, ns = [int(before.sum()), int(after.sum())], [len(before), len(after)]
    low, high = mover_weighted_sum([1.0, -1.0], right, ns)
    value = right[0] / ns[0] - right[1] / ns[1]
    limits = {"ci_low": low, "ci_high": high, "ci_method": "newcombe"}
    return make_row(declared, metric, value, sum(ns), **(fields | limits))


def mean_rows(
    declared: Declared,
    metrics: Iterable[str],
    frame: pd.DataFrame,
    context: ScoreContext,
    *,
    undefined: str,
    **fields: Any,
) -> list[MetricRow]:
    """Rows for the mean over the images of each column, over all images and per declared group.

    Images on which the value is undefined (NaN) are left out and not counted in n.

    Args:
        declared: The `METRICS` literal.
        metrics: Metric names; each is a column of `frame`.
        frame: One row per image, with `group`.
        context: Groups and statistics.
        undefined: The reason where no image has a value.
        **fields: Further fields of the rows.
    """
    return [
        _mean_row(declared, metric, part, context, undefined, fields | {"group": group})
        for metric in metrics
        for group, part in _defined(frame, metric, context)
    ]


def share_rows(
    declared: Declared,
    metrics: Iterable[str],
    frame: pd.DataFrame,
    context: ScoreContext,
    *,
    undefined: str,
    **fields: Any,
) -> list[MetricRow]:
    """As `mean_rows` of shares per image; Wilson's interval where each of them is 0 or 1.

    Of images that all have 0 the bootstrap would say that it is certain.
    """
    rows = []
    for metric in metrics:
        for group, part in _defined(frame, metric, context):
            where = fields | {"group": group}
            if part[metric].isin([0, 1]).all():
                n, count = len(part), int(part[metric].sum())
                rows.append(rate_row(declared, metric, count, n, undefined=undefined, **where))
            else:
                rows.append(_mean_row(declared, metric, part, context, undefined, where))
    return rows


def _defined(
    frame: pd.DataFrame, metric: str, context: ScoreContext
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The images on which a metric is defined: all of them, then those of each group."""
    known = frame[frame[metric].notna()]
    for group in context.scopes:
        yield group, known if group == "all" else known[known["group"] == group]


def _mean_row(
    declared: Declared,
    metric: str,
    part: pd.DataFrame,
    context: ScoreContext,
    undefined: str,
    fields: dict[str, Any],
) -> MetricRow:
    if part.empty:
        return make_row(declared, metric, None, 0, reason=undefined, **fields)
    values = part[metric].to_numpy(dtype=float)
    bounds = _bounds(str(declared[metric]["unit"]), values)
    groups = part["group"]
    low, high, _ = bootstrap_mean(values, groups, context.resamples, context.seed, bounds=bounds)
    method = f"{MEAN}_{context.resamples}"
    if not np.isnan(low):
        fields |= {"ci_low": low, "ci_high": high, "ci_method": method}
    return make_row(declared, metric, float(np.mean(values)), part.shape[0], **fields)


def _bounds(unit: str, values: NDArray[np.float64]) -> tuple[float, float]:
    """What the mean of such values can be."""
    if unit == "fraction" and values.min() >= 0:
        return 0.0, 1.0
    return (-1.0, 1.0) if unit in ("fraction", "probability", "correlation") else _UNBOUNDED


def select_images(
    predictions: pd.DataFrame, context: ScoreContext, variant: str = "original"
) -> pd.DataFrame:
    """The predictions of one variant in the evaluated split by id, with the column `correct`.

    Raises:
        EnvironmentProblem: If an image is listed twice or its group is not declared.
    """
    part = predictions[
        (predictions["split"] == context.split) & (predictions["variant"] == variant)
    ]
    found = sorted_images(part, context.groups, f"predictions ({variant})")
    return found.assign(correct=found["y_pred"] == found["y"])


def explained(
    explanations: pd.DataFrame, groups: tuple[str, ...]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Explainer name and its rows by id, explainers by name; nothing for an empty table.

    Raises:
        EnvironmentProblem: If an image is listed twice or its group is not declared.
    """
    if explanations.empty:
        return
    for name in sorted(explanations["explainer"].unique()):
        part = explanations[explanations["explainer"] == name]
        yield str(name), sorted_images(part, groups, f"explanations ({name})")


def sorted_images(part: pd.DataFrame, groups: tuple[str, ...], where: str) -> pd.DataFrame:
    """The rows of one image each by id.

    Raises:
        EnvironmentProblem: If an image is listed twice or its group is not declared.
    """
    unknown = sorted(set(part["group"].astype(str)) - set(groups))
    if unknown:
        raise EnvironmentProblem(
            f"the table has groups that the suite does not declare: {', '.join(unknown)}",
            where=where,
            choices=groups,
            next_step="score the run with the suite version it was made with, or run it again",
        )
    twice = part.loc[part["id"].duplicated(), "id"]
    if len(twice):
        raise EnvironmentProblem(
            f"image {twice.min()} is listed more than once",
            where=where,
            next_step="the table is damaged: run again",
        )
    return part.sort_values("id", ignore_index=True)
