"""JTT, just train twice (Liu et al. 2021, arXiv 2107.09044).

A first model is trained by ERM for a few epochs; the training images it gets wrong are the error
set. A second model is trained from the start, with the error set drawn more often. No group label
is read for training (the published tuning of epochs and weight reads those of the validation
split).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from ifambench.models.base import Classifier
from ifambench.train.trainset import TrainSet

_BATCH = 256


@torch.no_grad()
def error_set(model: Classifier, train: TrainSet) -> Tensor:
    """The training images that the model gets wrong, without augmentation, (N,) bool."""
    model.eval()
    wrong = [
        (model.logits(batch.images, batch.keep).argmax(1) != batch.y).cpu()
        for batch in train.in_order(_BATCH)
    ]
    return torch.cat(wrong)


def composition(errors: Tensor, group: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Size of the error set, and of its part in every group, for the training table."""
    counts = torch.bincount(group[errors], minlength=len(names)).tolist()
    shares = {f"jtt_errors_{name}": float(n) for name, n in zip(names, counts, strict=True)}
    return {"jtt_errors": float(errors.sum())} | shares


def describe(errors: Tensor, group: Tensor, names: Sequence[str]) -> str:
    """One line about the error set; says so when the second training is plain ERM."""
    found = composition(errors, group, names)
    parts = [
        f"{name} {int(found[f'jtt_errors_{name}'])}/{int((group == k).sum())}"
        for k, name in enumerate(names)
    ]
    text = f"JTT: {int(errors.sum())} of {len(errors)} training images are errors"
    if not errors.any() or errors.all():
        return f"warning: {text}, so the second training is plain ERM (change jtt_epochs)"
    return f"{text} ({', '.join(parts)})"


def recorded_warnings(table: pd.DataFrame, images: int) -> list[str]:
    """What a reader of the record must know about the error set.

    Args:
        table: The training table; empty of `jtt_errors` for other methods.
        images: Training images.
    """
    if "jtt_errors" not in table or table.empty:
        return []
    errors = int(table["jtt_errors"].iloc[-1])
    if 0 < errors < images:
        return []
    return [f"{errors} of {images} training images are JTT's error set: this is plain ERM"]
