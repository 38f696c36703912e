"""Relative foreground sensitivity: does noise on the object hurt more than noise around it?

With a_bg the accuracy under noise in the background, a_fg under noise in the foreground and their
mean abar (Moayeri et al. 2022, RIVAL10, https://arxiv.org/abs/2201.10766),

    RFS = (a_bg - a_fg) / (2 min(abar, 1 - abar)),

from -1 to 1: the difference as a share of the largest one that is possible at this mean. Positive
means that the model relies on the foreground. It is undefined where abar is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifambench.metrics.background import pair_variants
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
        "params": {"foreground": "variant?", "background": "variant?"},
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
    """The row of this file, over the images that both noisy variants have, when asked for."""
    if NAME not in context.metrics:
        return []
    names = _variants(context.metrics[NAME])
    sides = [select_images(tables.predictions, context, name) for name in names]
    pairs = pair_variants(*sides)
    if pairs.empty:
        reason = f"no image is in both {names[0]} and {names[1]}"
        return [make_row(METRICS, NAME, None, 0, reason=reason)]
    background, foreground = pairs["correct_before"], pairs["correct_after"]
    value = relative_foreground_sensitivity(background.mean(), foreground.mean())
    if value is None:
        which = "right" if background.all() else "wrong"
        reason = f"every image is {which} under both kinds of noise"
        return [make_row(METRICS, NAME, None, 0, reason=reason)]
    cells = 2 * background.astype(int) + foreground.astype(int)
    counts = np.bincount(cells, minlength=4)[None, :]
    found = bootstrap_statistic(counts, _of_cells, context.resamples, context.seed)
    limits = {"ci_low": min(found.low, value), "ci_high": max(found.high, value)}
    method = f"bootstrap_{context.resamples}"
    return [make_row(METRICS, NAME, value, len(pairs), ci_method=method, **limits)]


def _variants(params: Mapping[str, Any]) -> tuple[str, str]:
    """The variants with noise in the background and in the foreground."""
    return params.get("background", BACKGROUND), params.get("foreground", FOREGROUND)


def _of_cells(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """From (R, 1, 4) shares of neither, foreground only, background only, both right."""
    _, only_fg, only_bg, both = np.moveaxis(shares[:, 0], -1, 0)
    return _sensitivity(only_bg + both, only_fg + both)


def _sensitivity(
    background: NDArray[np.float64], foreground: NDArray[np.float64]
) -> NDArray[np.float64]:
    mean = (background + foreground) / 2
    largest = 2 * np.minimum(mean, 1 - mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(largest > 1e-12, (background - foreground) / largest, np.nan)
    return np.asarray(found, dtype=np.float64)
