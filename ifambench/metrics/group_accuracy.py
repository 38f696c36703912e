"""Accuracy per group, of the worst group, and the three averages, each under its own name.

"Average accuracy" means three things in the literature, so the bare word is not used:

- `accuracy`: right predictions / images (micro), sum_g c_g / sum_g n_g;
- `adjusted_accuracy`: sum_g w_g acc_g with w_g the *training* share of group g (the "adjusted
  average" of Sagawa et al. 2020, https://arxiv.org/abs/1911.08731, and of WILDS);
- `group_mean_accuracy`: mean_g acc_g (called "adjusted_accuracy" by SubpopBench).

Worst-group accuracy is the minimum over *all* declared groups. Its interval is the Wilson interval
of the group that is worst in the data; a near tie is named in `reason`, because the observed
minimum is then biased low.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.rows import make_row, rate_row, select_images
from ifambench.metrics.uncertainty import mover_weighted_sum, near_ties

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
        "version": 1,
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
    rows = [
        rate_row(METRICS, "group_accuracy", c, n, group=name)
        for name, c, n in zip(context.groups, right, ns, strict=True)
    ]
    rows.append(_worst_row(right, ns, context.groups))
    rows.append(rate_row(METRICS, "accuracy", sum(right), sum(ns)))
    rows.append(_adjusted_row(right, ns, context))
    equal = [1 / len(ns)] * len(ns)
    rows.append(_weighted_row("group_mean_accuracy", equal, right, ns))
    return rows


def group_counts(images: pd.DataFrame, groups: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Right predictions and images of each group, in the order of `groups`."""
    by_group = images.groupby("group")["correct"].agg(["sum", "count"])
    counts = by_group.reindex(list(groups), fill_value=0).astype(int)
    return counts["sum"].tolist(), counts["count"].tolist()


def _worst_row(right: list[int], ns: list[int], groups: tuple[str, ...]) -> MetricRow:
    worst = int(np.argmin(np.array(right) / np.array(ns)))  # the first one of a tie
    near = [groups[index] for index in near_ties(right, ns)]
    reason = f"near_tie: {', '.join(near)}" if near else None
    return rate_row(
        METRICS,
        "worst_group_accuracy",
        right[worst],
        ns[worst],
        group=groups[worst],
        reason=reason,
    )


def _adjusted_row(right: list[int], ns: list[int], context: ScoreContext) -> MetricRow:
    if context.train_shares is None:
        reason = "the suite has no training split, so there are no training shares"
        return make_row(METRICS, "adjusted_accuracy", None, sum(ns), reason=reason)
    total = sum(context.train_shares)
    weights = [share / total for share in context.train_shares]
    return _weighted_row("adjusted_accuracy", weights, right, ns)


def _weighted_row(metric: str, weights: list[float], right: list[int], ns: list[int]) -> MetricRow:
    low, high = mover_weighted_sum(weights, right, ns)
    value = sum(w * c / n for w, c, n in zip(weights, right, ns, strict=True))
    return make_row(
        METRICS, metric, value, sum(ns), ci_low=low, ci_high=high, ci_method="mover_wilson"
    )
