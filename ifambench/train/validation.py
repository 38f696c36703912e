"""Accuracy and worst-group accuracy on the validation split, shared among the processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ifambench.models.base import Classifier
from ifambench.train.ranks import all_sum, current_ranks
from ifambench.train.trainset import TrainSet

_BATCH = 256


@torch.no_grad()
def validate(model: Classifier, val: TrainSet, fabric: Any) -> dict[str, float]:
    """Measure the model, in eval mode and in the precision of the training.

    Args:
        model: Left in eval mode.
        val: Validation images.
        fabric: Gives the precision.

    Returns:
        `val_accuracy`, `val_worst_class_accuracy` and `val_worst_group_accuracy`, the least over
        the classes and groups that have images; the same on all ranks.
    """
    model.eval()
    right = torch.zeros(len(val))
    ranks = current_ranks()
    mine = torch.split(torch.arange(len(val)), _BATCH)[ranks.rank :: ranks.world]
    for index, batch in zip(mine, val.batches(mine), strict=True):
        with fabric.autocast():
            predicted = model.logits(batch.images, batch.keep).argmax(1)
        right[index] = (predicted == batch.y).float().cpu()
    right = all_sum(right.to(fabric.device)).cpu()
    return {
        "val_accuracy": float(right.mean()),
        "val_worst_class_accuracy": min(_accuracies(right, val.y)),
        "val_worst_group_accuracy": min(_accuracies(right, val.group)),
    }


def _accuracies(right: Tensor, cell: Tensor) -> list[float]:
    members = [cell == index for index in range(int(cell.max()) + 1)]
    return [float(right[member].mean()) for member in members if bool(member.any())]
