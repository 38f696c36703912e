"""What noise in the mask of a two-stage model does to its predictions (`run --mask-samples`).

The published code adds Gumbel noise to the part scores in evaluation too, so that two evaluations
of it differ. Here every other number is without noise; these are over S noisy masks per image:

- `noisy_accuracy` = mean over images and masks of [prediction is right]; its interval is over the
  images, as that of all shares here. `noisy_accuracy_std` is the standard deviation (ddof 1) over
  the S masks of the accuracy on all images: by how much two evaluations of the published code
  differ;
- `noisy_worst_group_accuracy` = mean over the S masks of the smallest group accuracy, each with
  its own worst group; likewise its standard deviation;
- `averaged_accuracy`, `averaged_worst_group_accuracy`: of the class with the largest probability
  averaged over the masks;
- `noise_flip_rate`: share of the noisy predictions that differ from the noise-free one, and
  `noise_any_flip_rate`: share of the images with at least one;
- `noise_patch_flip_rate`: share of the patches that a noisy mask adds or takes away;
- `noisy_empty_rate`: share of the noisy masks without a patch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.group_accuracy import (
    group_accuracy_rows,
    group_counts,
    groups_with_images,
    worst_row,
)
from ifambench.metrics.localization import localization_rows
from ifambench.metrics.rows import make_row, rate_row, select_images, share_rows

METRICS: dict[str, dict[str, Any]] = {
    "noisy_accuracy": {
        "build": "mask_noise_rows",
        "summary": "Share of right predictions under noisy masks",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "noisy_accuracy_std": {
        "build": "mask_noise_rows",
        "summary": "Standard deviation of the accuracy over noisy masks",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "noisy_worst_group_accuracy": {
        "build": "mask_noise_rows",
        "summary": "Smallest group accuracy under noisy masks, mean over the masks",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "noisy_worst_group_accuracy_std": {
        "build": "mask_noise_rows",
        "summary": "Standard deviation of the smallest group accuracy over noisy masks",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "averaged_accuracy": {
        "build": "mask_noise_rows",
        "summary": "Accuracy of the probabilities averaged over noisy masks",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "averaged_worst_group_accuracy": {
        "build": "mask_noise_rows",
        "summary": "Smallest group accuracy of the probabilities averaged over noisy masks",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "noise_flip_rate": {
        "build": "mask_noise_rows",
        "summary": "Share of the noisy predictions that differ from the noise-free one",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "noise_any_flip_rate": {
        "build": "mask_noise_rows",
        "summary": "Share of the images with a noisy prediction that differs",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "noise_patch_flip_rate": {
        "build": "mask_noise_rows",
        "summary": "Share of the patches that a noisy mask adds or takes away",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "noisy_empty_rate": {
        "build": "mask_noise_rows",
        "summary": "Share of the noisy masks without a patch",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
}

_OWN_WORST = "no interval: each mask has its own worst group"
_A_SPREAD = "no interval: a spread over the masks"


@dataclass(frozen=True)
class _Noise:
    """The table as arrays: N images by id, S noisy masks."""

    images: pd.DataFrame
    """N rows without noise, with `correct`."""
    y_pred: NDArray[np.int64]
    """(N, S)."""
    patch_flips: NDArray[np.float64]
    """(N, S)."""
    n_selected: NDArray[np.int64]
    """(N, S)."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N, S), whether the prediction is right."""
        return np.asarray(self.y_pred == self.images["y"].to_numpy()[:, None])

    @property
    def flips(self) -> NDArray[np.bool_]:
        """(N, S), whether it differs from the one without noise."""
        return np.asarray(self.y_pred != self.images["y_pred"].to_numpy()[:, None])


def mask_noise_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file; none when no noisy mask was drawn.

    Raises:
        EnvironmentProblem: If an image lacks a mask or is listed twice under one, or its group is
            not declared.
    """
    table = tables.mask_samples
    if table is None or table.empty:
        return []
    noise = _arrays(table, context)
    return [
        *_means(noise, context),
        rate_row(
            METRICS, "noise_any_flip_rate", int(noise.flips.any(axis=1).sum()), len(noise.images)
        ),
        *_averaged(noise.images, context),
        *_spread(noise, context),
    ]


def with_and_without_noise(table: pd.DataFrame, context: ScoreContext) -> list[MetricRow]:
    """`mask_noise_rows` of a table, and the accuracies and empty selections without noise.

    Args:
        table: Predictions under noisy masks, see `Tables.mask_samples`.
        context: Its groups without an image in the table are left out.
    """
    context = replace(context, groups=groups_with_images(table, context.groups), train_shares=None)
    free = table[table["sample"] == 0]
    tables = Tables(free, pd.DataFrame(), mask_samples=table)
    builds = (group_accuracy_rows, localization_rows, mask_noise_rows)
    return [row for build in builds for row in build(tables, context)]


def _arrays(table: pd.DataFrame, context: ScoreContext) -> _Noise:
    by_mask = [select_images(part, context) for _, part in table.groupby("sample", sort=True)]
    free, noisy = by_mask[0], by_mask[1:]
    if not noisy or any(not part["id"].equals(free["id"]) for part in noisy):
        raise EnvironmentProblem(
            "not every image has the same masks",
            where="mask_samples",
            next_step="the table is damaged: run again",
        )
    names = ("y_pred", "patch_flips", "n_selected")
    arrays = {name: np.column_stack([part[name] for part in noisy]) for name in names}
    return _Noise(free, **arrays)


def _means(noise: _Noise, context: ScoreContext) -> list[MetricRow]:
    """What is a mean over the masks of each image, with groups."""
    means = {
        "noisy_accuracy": noise.right.mean(axis=1),
        "noise_flip_rate": noise.flips.mean(axis=1),
        "noise_patch_flip_rate": noise.patch_flips.mean(axis=1),
        "noisy_empty_rate": (noise.n_selected == 0).mean(axis=1),
    }
    frame = noise.images[["id", "group"]].assign(**means)
    return share_rows(METRICS, means, frame, context, undefined="no image")


def _averaged(images: pd.DataFrame, context: ScoreContext) -> list[MetricRow]:
    found = images.assign(correct=images["y_pred_averaged"] == images["y"])
    groups = groups_with_images(found, context.groups)
    right, ns = group_counts(found, groups)
    rows = [rate_row(METRICS, "averaged_accuracy", sum(right), sum(ns))]
    if len(groups) > 1:
        rows.append(worst_row(METRICS, "averaged_worst_group_accuracy", right, ns, groups))
    return rows


def _spread(noise: _Noise, context: ScoreContext) -> list[MetricRow]:
    """Standard deviations over the masks, and the mean of what has no mean by image."""
    n, right = len(noise.images), noise.right
    rows = [_std_row("noisy_accuracy_std", right.mean(axis=0), n)]
    groups = groups_with_images(noise.images, context.groups)
    if len(groups) > 1:
        of_group = [right[noise.images["group"] == name].mean(axis=0) for name in groups]
        worst = np.min(of_group, axis=0)  # (S,)
        name, mean = "noisy_worst_group_accuracy", float(worst.mean())
        rows.append(make_row(METRICS, name, mean, n, reason=_OWN_WORST))
        rows.append(_std_row(f"{name}_std", worst, n))
    return rows


def _std_row(metric: str, values: NDArray[np.float64], n: int) -> MetricRow:
    if len(values) < 2:
        return make_row(METRICS, metric, None, 0, reason="a standard deviation needs two masks")
    return make_row(METRICS, metric, float(values.std(ddof=1)), n, reason=_A_SPREAD)
