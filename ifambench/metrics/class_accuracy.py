"""Accuracy of the worst class, over the classes, and of the worst minority group.

These are three further readings of "worst" and "average" in the literature:

- `worst_class_accuracy`: min over classes of c_k / n_k; needs no attribute labels;
- `class_mean_accuracy`: mean over classes of c_k / n_k ("balanced accuracy" of SubpopBench and of
  scikit-learn, "macro" of CUB papers);
- `minority_worst_accuracy`: min over the groups declared as minority, which iFAM
  (https://arxiv.org/abs/2506.08915) reports as worst group on Waterbirds.

Classes are those that have an image in the evaluated split.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.group_accuracy import group_counts, weighted_row, worst_row
from ifambench.metrics.rows import select_images

METRICS: dict[str, dict[str, Any]] = {
    "worst_class_accuracy": {
        "build": "class_accuracy_rows",
        "summary": "Smallest class accuracy over the classes that have an image",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 2,
    },
    "class_mean_accuracy": {
        "build": "class_accuracy_rows",
        "summary": "Unweighted mean of the class accuracies (balanced accuracy)",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "minority_worst_accuracy": {
        "build": "class_accuracy_rows",
        "summary": "Smallest accuracy over the groups declared as minority",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 2,
    },
}


def class_accuracy_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file, from the unchanged images of the evaluated split."""
    images = select_images(tables.predictions, context)
    if images.empty:
        return []
    classes, right, ns = class_counts(images)
    names = [context.class_name(y) for y in classes]
    equal = [1 / len(ns)] * len(ns)
    rows = [
        worst_row(METRICS, "worst_class_accuracy", right, ns, names),
        weighted_row(METRICS, "class_mean_accuracy", equal, right, ns),
    ]
    return rows + _minority_rows(images, context)


def class_counts(images: pd.DataFrame) -> tuple[list[int], list[int], list[int]]:
    """The classes that have an image, and right predictions and images of each."""
    counts = images.groupby("y")["correct"].agg(["sum", "count"]).astype(int).sort_index()
    return counts.index.astype(int).tolist(), counts["sum"].tolist(), counts["count"].tolist()


def _minority_rows(images: pd.DataFrame, context: ScoreContext) -> list[MetricRow]:
    names = tuple(name for name in context.groups if name in context.minority)
    right, ns = group_counts(images, names)
    if not names or 0 in ns:  # an empty group is an error of `group_accuracy`
        return []
    return [worst_row(METRICS, "minority_worst_accuracy", right, ns, names)]
