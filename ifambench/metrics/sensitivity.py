"""Relative foreground sensitivity: does noise on the object hurt more than noise around it?

With a_bg the accuracy under noise in the background, a_fg under noise in the foreground and their
mean abar (Moayeri et al. 2022, RIVAL10, https://arxiv.org/abs/2201.10766),

    RFS = (a_bg - a_fg) / (2 min(abar, 1 - abar)),

from -1 to 1: the difference as a share of the largest one that is possible at this mean. Positive
means that the model relies on the foreground. It is undefined where abar is 0 or 1.

As in the published code, both accuracies are means over the classes, and over all draws of the
noise where several variants of a kind are given (three there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.resampling import bootstrap_statistic
from ifambench.metrics.rows import make_row, select_images

METRICS: dict[str, dict[str, Any]] = {
    "relative_foreground_sensitivity": {
        "build": "sensitivity_rows",
        "summary": "How much more noise on the object hurts than noise around it, from -1 to 1",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
        "params": {"foreground": "variants?", "background": "variants?"},
    },
}

NAME = "relative_foreground_sensitivity"
FOREGROUND, BACKGROUND = "noise_foreground", "noise_background"


def relative_foreground_sensitivity(background: float, foreground: float) -> float | None:
    """RFS from the accuracies under noise in the background and in the foreground.

    >>> relative_foreground_sensitivity(0.75, 0.25)
    0.5
    >>> relative_foreground_sensitivity(1.0, 1.0) is None
    True
    """
    value = float(_sensitivity(np.array(background), np.array(foreground)))
    return None if np.isnan(value) else value


def sensitivity_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """The row of this file, over the images that all noisy variants have, when asked for."""
    if NAME not in context.metrics:
        return []
    kinds = _variants(context.metrics[NAME])
    images = _right_of(tables, [name for names in kinds for name in names], context)
    if images.empty:
        reason = f"no image is in all of {', '.join(kinds[0] + kinds[1])}"
        return [make_row(METRICS, NAME, None, 0, reason=reason)]
    shares = [images[names].mean(axis=1) for names in kinds]  # of the draws, by image
    means = [share.groupby(images["y"]).mean().mean() for share in shares]
    value = relative_foreground_sensitivity(*means)
    if value is None:
        which = "right" if shares[0].min() == 1 else "wrong"
        reason = f"every image is {which} under both kinds of noise"
        return [make_row(METRICS, NAME, None, 0, reason=reason)]
    if images["y"].value_counts().min() < 2:
        remark = "no interval: a class has a single image"
        return [make_row(METRICS, NAME, value, len(images), reason=remark)]
    low, high = _interval(images["y"], shares, context)
    limits = {"ci_low": min(low, value), "ci_high": max(high, value)}
    method = f"bootstrap_{context.resamples}"
    return [make_row(METRICS, NAME, value, len(images), ci_method=method, **limits)]


def _variants(params: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The variants with noise in the background and in the foreground."""
    return list(params.get("background", [BACKGROUND])), list(
        params.get("foreground", [FOREGROUND])
    )


def _right_of(tables: Tables, names: Sequence[str], context: ScoreContext) -> pd.DataFrame:
    """By id the class `y` and, under the name of each variant, whether it is right."""
    parts = [select_images(tables.predictions, context, name).set_index("id") for name in names]
    right = [part["correct"].rename(name) for name, part in zip(names, parts, strict=True)]
    return pd.concat([parts[0]["y"], *right], axis=1, join="inner").sort_index()


def _interval(y: pd.Series, shares: list[pd.Series], context: ScoreContext) -> tuple[float, float]:
    """Bootstrap of the images within their classes, each with all its draws."""
    counts = pd.crosstab(y, [shares[0].rename("background"), shares[1].rename("foreground")])
    background, foreground = (
        counts.columns.get_level_values(side).to_numpy() for side in ("background", "foreground")
    )

    def statistic(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = drawn.mean(axis=1)  # over the classes, (resamples, outcomes)
        return _sensitivity(mean @ background, mean @ foreground)

    found = bootstrap_statistic(counts.to_numpy(), statistic, context.resamples, context.seed)
    return found.low, found.high


def _sensitivity(
    background: NDArray[np.float64], foreground: NDArray[np.float64]
) -> NDArray[np.float64]:
    mean = (background + foreground) / 2
    largest = 2 * np.minimum(mean, 1 - mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(largest > 1e-12, (background - foreground) / largest, np.nan)
    return np.asarray(np.clip(found, -1, 1), dtype=np.float64)  # the last bit can be off
