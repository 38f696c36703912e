"""The learning rate over a training, as a factor of its peak."""

from __future__ import annotations

import math

from ifambench.train.recipes import Recipe


def factor(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """What the peak learning rates are multiplied with.

    `step`: linear warm-up, then cosine to 0, changed at every optimizer step. `epoch`: cosine to
    0 without warm-up, changed at the end of an epoch, as published for iFAM (arXiv 2506.08915):
    epoch 1 runs at the peak.

    Args:
        recipe: Number of epochs, warm-up and kind of schedule.
        step: Optimizer steps already done, over all epochs.
        steps_per_epoch: Optimizer steps per epoch.
    """
    total = recipe.epochs * steps_per_epoch
    if recipe.schedule == "epoch":
        return _cosine(step // steps_per_epoch / recipe.epochs)
    warm = min(1.0, (step + 1) / max(1.0, recipe.warmup * total))
    return warm * 0.5 * (1 + math.cos(math.pi * step / total))


def steps_per_epoch(images: int, recipe: Recipe) -> int:
    """Optimizer steps of an epoch; the images that fill no batch are left out."""
    return max(1, images // recipe.batch_size)


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))
