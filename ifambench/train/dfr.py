"""Deep feature reweighting (DFR; Kirichenko et al. 2023, arXiv 2204.02937).

The last layer of a trained ERM model is refitted on group-balanced validation features with an
L1-penalised logistic regression. The strength is chosen by worst-group accuracy: fitted on one
half of the validation split, measured on the other. The final layer is the mean over several
balanced subsets of the whole split. Group labels of the validation split are needed.
"""

from __future__ import annotations

import numpy as np

from ifambench.errors import UsageError
from ifambench.models.timm_vit import TimmVit
from ifambench.train.linear_head import (
    Features,
    Linear,
    Scaling,
    as_linear,
    classes_to_fit,
    features,
    set_head,
)
from ifambench.train.recipes import Recipe
from ifambench.train.trainset import TrainSet

_CHOOSING_DRAWS = 5


def refit_last_layer(
    model: TimmVit, train: TrainSet, val: TrainSet, recipe: Recipe, seed: int
) -> dict[str, float]:
    """Replace the head of `model` in place.

    Args:
        model: A trained plain ViT.
        train: Training images, for the standardisation only.
        val: Validation images with groups.
        recipe: Strengths to choose from and number of retrainings.
        seed: Seed of halves and subsets.

    Returns:
        The chosen strength and the worst-group accuracy it had on the held-out half.

    Raises:
        UsageError: If a class has too few validation images.
    """
    scaling = Scaling.of(features(model, train))
    found = scaling.standardised(features(model, val))
    rng = np.random.default_rng(seed)
    classes = model.num_classes
    strength, accuracy = _choose_strength(found, recipe.strengths, rng, classes)
    fits = [_fit_balanced(found, strength, rng, classes) for _ in range(recipe.retrainings)]
    weight = np.mean([fit.weight for fit in fits], axis=0)
    bias = np.mean([fit.bias for fit in fits], axis=0)
    set_head(model.vit.head, scaling.raw(Linear(weight, bias)))
    return {"dfr_strength": strength, "dfr_held_out_worst_group_accuracy": accuracy}


def _choose_strength(
    found: Features, strengths: tuple[float, ...], rng: np.random.Generator, classes: int
) -> tuple[float, float]:
    """The strength with the best worst group on the half it was not fitted on."""
    order = rng.permutation(len(found.y))
    fitted, held_out = (found.rows(half) for half in (order[::2], order[1::2]))
    if len(np.unique(fitted.y)) < len(np.unique(found.y)):
        raise UsageError(
            f"DFR fits on half of the validation images, {len(fitted.y)}, and these lack a class",
            next_step="choose another method, or use more validation images",
        )
    scores = []
    for strength in strengths:
        fits = [_fit_balanced(fitted, strength, rng, classes) for _ in range(_CHOOSING_DRAWS)]
        scores.append(float(np.mean([_worst_group(fit, held_out) for fit in fits])))
    best = int(np.argmax(scores))
    return strengths[best], scores[best]


def _worst_group(fit: Linear, data: Features) -> float:
    right = fit.right(data)
    return min(float(right[data.group == g].mean()) for g in np.unique(data.group))


def _fit_balanced(
    data: Features, strength: float, rng: np.random.Generator, classes: int
) -> Linear:
    """Fit on a subset in which every group is as large as the smallest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    there = classes_to_fit(data, "DFR")
    members = [np.flatnonzero(data.group == g) for g in np.unique(data.group)]
    size = min(len(m) for m in members)
    chosen = data.rows(np.concatenate([rng.choice(m, size, replace=False) for m in members]))
    regression = LogisticRegression(
        C=strength, l1_ratio=1.0, solver="liblinear", max_iter=1000, random_state=0
    )
    if len(there) == 2:
        regression.fit(chosen.x, chosen.y)
        return as_linear(regression.coef_, regression.intercept_, there, classes)
    every = OneVsRestClassifier(regression).fit(chosen.x, chosen.y).estimators_
    coefficients = np.concatenate([one.coef_ for one in every])
    intercepts = np.concatenate([one.intercept_ for one in every])
    return as_linear(coefficients, intercepts, there, classes)
