"""Rows made of the battery table: one quantity of one test, under each of its conditions.

The table is long, one line per image, test, quantity and condition. A line that is there was
measured; a line without a value is undefined for that image and is left out of rates and means. The
condition is the `variant` of the rows; a quantity without conditions has `original`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.group_accuracy import worst_row
from ifambench.metrics.rows import (
    Declared,
    make_row,
    mean_rows,
    rate_row,
    share_rows,
    sorted_images,
)

UNCONDITIONAL = "original"
LARGEST = 1e38
"""From here on a change is not a size: outputs that were no numbers are stored as the largest
float32."""
_NOTHING = "undefined for every image"


def conditions(
    tables: Tables, test: str, quantity: str, context: ScoreContext
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each condition of a quantity and its lines by image, conditions by name.

    Args:
        tables: The tables; without a battery nothing is yielded.
        test: `T1` to `T10`.
        quantity: The name of the quantity.
        context: Groups and statistics.

    Raises:
        EnvironmentProblem: If an image is listed twice or its group is not declared.
    """
    table = tables.battery
    if table is None or table.empty:
        return
    part = table[(table["test"] == test) & (table["quantity"] == quantity)]
    named = part["condition"].fillna("").astype(str).replace("", UNCONDITIONAL)
    for condition in sorted(named.unique()):
        found = part[named == condition]
        where = f"battery ({test} {quantity} {condition})"
        yield condition, sorted_images(found, context.groups, where)


def _measured(
    wanted: Mapping[str, tuple[str, str]], tables: Tables, context: ScoreContext
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Metric, condition and lines by image of every quantity that was measured."""
    for metric, (test, quantity) in wanted.items():
        for condition, frame in conditions(tables, test, quantity, context):
            yield metric, condition, frame


def rate_rows(
    declared: Declared, wanted: Mapping[str, tuple[str, str]], tables: Tables, context: ScoreContext
) -> list[MetricRow]:
    """Rows for the share of images with the value 1, over all images and per group.

    Args:
        declared: The `METRICS` literal.
        wanted: Metric name -> test and quantity; the values are 0 or 1. A quantity that is a mean
            of several draws is between them, and then has a bootstrap interval.
        tables: The tables.
        context: Groups and statistics.
    """
    return [
        row
        for metric, condition, frame in _measured(wanted, tables, context)
        for row in _rates(declared, metric, frame, context, condition)
    ]


def value_rows(
    declared: Declared, wanted: Mapping[str, tuple[str, str]], tables: Tables, context: ScoreContext
) -> list[MetricRow]:
    """Rows for the mean over the images, over all images and per group; as `rate_rows`."""
    return [
        row
        for metric, condition, frame in _measured(wanted, tables, context)
        for row in _means(declared, metric, frame, context, condition)
    ]


def largest_rows(
    declared: Declared, wanted: Mapping[str, tuple[str, str]], tables: Tables, context: ScoreContext
) -> list[MetricRow]:
    """Rows for the largest value over all images: of a change that should be exactly 0.

    Outputs that are no numbers are a change without a size: the maximum is then undefined, and the
    reason says for how many images.
    """
    rows = []
    for metric, condition, frame in _measured(wanted, tables, context):
        values = frame["value"].to_numpy(dtype=float)
        odd = int((~(np.abs(values) < LARGEST)).sum())
        worst, reason = float(values.max()), "no interval: a maximum over the images"
        if odd:
            reason = f"the outputs are no numbers on {odd} of {values.size} images"
        value, n = (None, 0) if odd else (worst, values.size)
        rows.append(make_row(declared, metric, value, n, variant=condition, reason=reason))
    return rows


def changed_rows(
    declared: Declared, wanted: Mapping[str, tuple[str, str]], tables: Tables, context: ScoreContext
) -> list[MetricRow]:
    """Rows for the share of images with any value but 0, also one that is no number."""
    rows = []
    for metric, condition, frame in _measured(wanted, tables, context):
        changed = int((frame["value"].to_numpy(dtype=float) != 0).sum())
        rows.append(rate_row(declared, metric, changed, len(frame), variant=condition))
    return rows


def worst_flip_rows(
    declared: Declared, wanted: Mapping[str, tuple[str, str]], tables: Tables, context: ScoreContext
) -> list[MetricRow]:
    """Rows for the group with the largest rate, none for a single group.

    The interval allows for near ties, which are named (`worst_row`).
    """
    rows = []
    for metric, condition, frame in _measured(wanted, tables, context):
        found = frame[frame["value"].notna()].groupby("group", sort=True)["value"]
        if found.ngroups > 1 and _binary(frame["value"].dropna()):
            rows.append(_worst_flip(declared, metric, found, condition))
    return rows


def _worst_flip(
    declared: Declared, metric: str, found: pd.api.typing.SeriesGroupBy, condition: str
) -> MetricRow:
    flips, ns = (counts.astype(int) for counts in (found.sum(), found.count()))
    names = [str(name) for name in ns.index]
    least = worst_row(declared, metric, (ns - flips).tolist(), ns.tolist(), names)
    assert least.value is not None
    assert least.ci_low is not None
    assert least.ci_high is not None
    return make_row(
        declared,
        metric,
        1 - least.value,
        least.n,
        ci_low=1 - least.ci_high,
        ci_high=1 - least.ci_low,
        ci_method=least.ci_method,
        group=least.group,
        variant=condition,
        reason=least.reason,
    )


def paired_difference_rows(
    declared: Declared,
    metric: str,
    quantity: tuple[str, str],
    minus: tuple[str, str],
    tables: Tables,
    context: ScoreContext,
) -> list[MetricRow]:
    """Rows for the mean over the images of a quantity under one condition minus under another.

    Args:
        declared: The `METRICS` literal.
        metric: The name of the metric.
        quantity: Test and quantity.
        minus: The condition, and the one whose value is taken off.
        tables: The tables.
        context: Groups and statistics.
    """
    parts = dict(conditions(tables, *quantity, context))
    if not set(minus) <= parts.keys():
        return []
    first, second = (parts[name] for name in minus)
    both = first.merge(second[["id", "value"]], on="id", suffixes=("", "_off"))
    both = both.assign(value=both["value"].astype(float) - both["value_off"].astype(float))
    return _means(declared, metric, both, context, UNCONDITIONAL)


def _rates(
    declared: Declared, metric: str, frame: pd.DataFrame, context: ScoreContext, condition: str
) -> list[MetricRow]:
    named = frame.assign(**{metric: frame["value"].astype(float)})
    return share_rows(declared, [metric], named, context, undefined=_NOTHING, variant=condition)


def _means(
    declared: Declared, metric: str, frame: pd.DataFrame, context: ScoreContext, condition: str
) -> list[MetricRow]:
    named = frame.assign(**{metric: frame["value"].astype(float)})
    return mean_rows(declared, [metric], named, context, undefined=_NOTHING, variant=condition)


def _binary(values: pd.Series) -> bool:
    return bool(values.isin([0, 1]).all())
