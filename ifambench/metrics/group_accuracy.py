"""Accuracy per group, of the worst group, and the three averages, each under its own name.

"Average accuracy" means three things in the literature, so the bare word is not used:

- `accuracy`: right predictions / images (micro), sum_g c_g / sum_g n_g;
- `adjusted_accuracy`: sum_g w_g acc_g with w_g the *training* share of group g (the "adjusted
  average" of Sagawa et al. 2020, https://arxiv.org/abs/1911.08731, and of WILDS);
- `group_mean_accuracy`: mean_g acc_g (called "adjusted_accuracy" by SubpopBench).

Worst-group accuracy is the minimum over *all* declared groups. Its interval is the Wilson interval
of the group that is worst in the data, with an upper limit that allows for groups that nearly tie
(`uncertainty.smallest_rate`); they are named in `reason`, because the observed minimum is then
biased low. With a single group there is nothing to be worst or to weight, so only `accuracy` has a
row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.rows import Declared, make_row, rate_row, select_images
from ifambench.metrics.uncertainty import mover_weighted_sum, near_ties, smallest_rate

_NAMED_TIES = 5
"""Near ties that a remark names one by one."""

METRICS: dict[str, dict[str, Any]] = {
    "group_accuracy": {
        "build": "group_accuracy_rows",
        "summary": "Share of right predictions in one declared group",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "worst_group_accuracy": {
        "build": "group_accuracy_rows",
        "summary": "Smallest group accuracy over all declared groups",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 2,
    },
    "accuracy": {
        "build": "group_accuracy_rows",
        "summary": "Share of right predictions over all images (micro average)",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "adjusted_accuracy": {
        "build": "group_accuracy_rows",
        "summary": "Group accuracies weighted by the groups' shares of the training split",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "group_mean_accuracy": {
        "build": "group_accuracy_rows",
        "summary": "Unweighted mean of the group accuracies",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
}


def group_accuracy_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file, from the unchanged images of the evaluated split.

    Raises:
        EnvironmentProblem: If a declared group has no image, or an image an undeclared group.
    """
    right, ns = group_counts(select_images(tables.predictions, context), context.groups)
    empty = [name for name, n in zip(context.groups, ns, strict=True) if n == 0]
    if empty:
        raise EnvironmentProblem(
            f"declared groups without an image: {', '.join(empty)}",
            where=f"predictions, split {context.split}",
            next_step="evaluate the whole split; worst-group accuracy is over all declared groups",
        )
    mean = rate_row(METRICS, "accuracy", sum(right), sum(ns))
    if len(ns) == 1:
        return [mean]
    rows = [
        rate_row(METRICS, "group_accuracy", c, n, group=name)
        for name, c, n in zip(context.groups, right, ns, strict=True)
    ]
    rows.append(worst_row(METRICS, "worst_group_accuracy", right, ns, context.groups))
    rows.append(mean)
    rows.append(_adjusted_row(right, ns, context))
    equal = [1 / len(ns)] * len(ns)
    rows.append(weighted_row(METRICS, "group_mean_accuracy", equal, right, ns))
    return rows


def groups_with_images(rows: pd.DataFrame, declared: Sequence[str]) -> tuple[str, ...]:
    """The declared groups that a table of images has, in their order."""
    found = set(rows["group"])
    return tuple(name for name in declared if name in found)


def group_counts(images: pd.DataFrame, groups: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Right predictions and images of each group, in the order of `groups`."""
    by_group = images.groupby("group")["correct"].agg(["sum", "count"])
    counts = by_group.reindex(list(groups), fill_value=0).astype(int)
    return counts["sum"].tolist(), counts["count"].tolist()


def worst_row(
    declared: Declared, metric: str, right: list[int], ns: list[int], names: Sequence[str]
) -> MetricRow:
    """A row for the smallest of several rates, with the name of the first one that attains it.

    The interval allows for groups that nearly tie (`smallest_rate`); without any it is Wilson's.
    """
    worst, near = int(np.argmin(np.array(right) / np.array(ns))), near_ties(right, ns)
    low, high = smallest_rate(right, ns)
    return make_row(
        declared,
        metric,
        right[worst] / ns[worst],
        ns[worst],
        ci_low=low,
        ci_high=high,
        ci_method="wilson_near_ties" if near else "wilson",
        group=names[worst],
        reason=_tie_reason([names[index] for index in near]),
    )


def _tie_reason(near: list[str]) -> str | None:
    if not near:
        return None
    more = f" and {len(near) - _NAMED_TIES} more" if len(near) > _NAMED_TIES else ""
    return f"near_tie: {', '.join(near[:_NAMED_TIES])}{more}"


def _adjusted_row(right: list[int], ns: list[int], context: ScoreContext) -> MetricRow:
    if context.train_shares is None:
        reason = "the suite has no training split, so there are no training shares"
        return make_row(METRICS, "adjusted_accuracy", None, 0, reason=reason)
    total = sum(context.train_shares)
    if total == 0:
        reason = "none of the evaluated groups is in training"
        return make_row(METRICS, "adjusted_accuracy", None, 0, reason=reason)
    weights = [share / total for share in context.train_shares]
    row = weighted_row(METRICS, "adjusted_accuracy", weights, right, ns)
    if math.isclose(total, 1, abs_tol=1e-6):
        return row
    part = f"the evaluated groups hold {total:.1%} of the training images"
    return replace(row, reason=f"{part}; the weights are their shares of these")


def weighted_row(
    declared: Declared, metric: str, weights: list[float], right: list[int], ns: list[int]
) -> MetricRow:
    """A row for a weighted mean of independent rates, with its MOVER interval."""
    low, high = mover_weighted_sum(weights, right, ns)
    total = sum(w * c / n for w, c, n in zip(weights, right, ns, strict=True))
    value = min(1.0, total)  # the last bits of hundreds of weights can lie above
    limits = {"ci_low": max(0.0, min(low, value)), "ci_high": min(1.0, max(high, value))}
    return make_row(declared, metric, value, sum(ns), ci_method="mover_wilson", **limits)
