"""Linear probe: logistic regression on the features of the frozen backbone.

The features are computed once, without augmentation, and kept in the run's work folder. They are
standardised by the training split; the strength of the L2 penalty is the one with the best accuracy
on the validation split, the stronger penalty among equals. No group label is read. The fitted
classifier becomes the model's head, so the saved weights are those of an ordinary model.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.models.timm_vit import TimmVit
from ifambench.progress import Progress
from ifambench.train.linear_head import (
    Features,
    Linear,
    Scaling,
    as_linear,
    classes_to_fit,
    features,
    set_head,
)
from ifambench.train.trainset import TrainSet

_MAX_ITERATIONS = 5000


class _Tried(NamedTuple):
    """One strength and what came of it."""

    strength: float
    linear: Linear
    accuracy: float


def probe(
    model: TimmVit,
    train: TrainSet,
    val: TrainSet,
    strengths: tuple[float, ...],
    cache: Path,
    progress: Progress,
) -> pd.DataFrame:
    """Replace the head of `model` in place.

    Args:
        model: A plain ViT with a pretrained backbone.
        train: Images to fit on.
        val: Images to choose the strength on.
        strengths: Inverse strengths of the L2 penalty.
        cache: Start of the names of the files that keep the features.
        progress: Told about every split and fit.

    Returns:
        A training table of one row.
    """
    started = time.perf_counter()
    progress.start("train", 2 + len(strengths))
    fitted, chosen_on = (
        _told(features(model, images, cache.with_name(f"{cache.name}-{name}.npy")), progress)
        for name, images in (("train", train), ("val", val))
    )
    scaling = Scaling.of(fitted)
    fitted, chosen_on = scaling.standardised(fitted), scaling.standardised(chosen_on)
    tried = []
    for strength in sorted(strengths):  # the strongest penalty first: `max` keeps it among equals
        linear = fit_linear(fitted, strength, model.num_classes)
        tried.append(_Tried(strength, linear, float(linear.right(chosen_on).mean())))
        progress.advance(note=f"strength {strength:g}")
    best = max(tried, key=lambda one: one.accuracy)
    set_head(model.vit.head, scaling.raw(best.linear))
    row = _row(best, fitted, chosen_on) | {"seconds": time.perf_counter() - started}
    return pd.DataFrame([row])


def fit_linear(data: Features, strength: float, classes: int) -> Linear:
    """L2-penalised multinomial logistic regression, one row for each of C classes."""
    from sklearn.linear_model import LogisticRegression

    there = classes_to_fit(data, "a linear probe")
    regression = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS).fit(data.x, data.y)
    return as_linear(regression.coef_, regression.intercept_, there, classes)


def _told(found: Features, progress: Progress) -> Features:
    progress.advance(note="features")
    return found


def _row(best: _Tried, fitted: Features, chosen_on: Features) -> dict[str, float]:
    right = best.linear.right(chosen_on)
    return {
        "epoch": 1,
        "train_accuracy": float(best.linear.right(fitted).mean()),
        "val_accuracy": best.accuracy,
        "val_worst_class_accuracy": _worst(right, chosen_on.y),
        "val_worst_group_accuracy": _worst(right, chosen_on.group),
        "probe_strength": best.strength,
        "selected": 1,
    }


def _worst(right: NDArray[np.bool_], cell: NDArray[np.int64]) -> float:
    """The least share of right answers over classes or groups that have images."""
    return min(float(right[cell == index].mean()) for index in np.unique(cell))
