"""The training and validation images of a run, in memory, as batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.manifest import SuiteData
from ifambench.models.base import Classifier
from ifambench.predict.oracle import oracle_patches
from ifambench.train.steps import Batch


@dataclass(frozen=True)
class TrainSet:
    """One split, ready to be drawn from.

    Attributes:
        images: (N, H, W, 3) uint8.
        y: (N,) class.
        group: (N,) index of the declared group.
        keep: (N, h, w) bool patches of the true objects, or None.
        model: The model whose input the batches are.
        device: Where the batches go.
    """

    images: NDArray[np.uint8]
    y: Tensor
    group: Tensor
    keep: Tensor | None
    model: Classifier
    device: torch.device

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, index: Tensor) -> Batch:
        """The images at `index`."""
        return Batch(
            images=self.model.data_config.normalise(self.images[index.numpy()], self.device),
            y=self.y[index].to(self.device),
            group=self.group[index].to(self.device),
            keep=None if self.keep is None else self.keep[index].to(self.device),
        )

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All images once, in manifest order."""
        for start in range(0, len(self), batch_size):
            yield self.batch(torch.arange(start, min(start + batch_size, len(self))))


def train_set(data: SuiteData, split: str, model: Classifier, device: torch.device) -> TrainSet:
    """The original images of a split."""
    rows = data.rows(split)
    names = list(data.suite.groups.names)
    keep = None
    if "true_masks" in model.capabilities:
        keep = oracle_patches(model, data.pixels.masks(rows))
    return TrainSet(
        images=data.pixels.images(rows),
        y=torch.from_numpy(rows["y"].to_numpy(np.int64, copy=True)),
        group=torch.tensor([names.index(group) for group in rows["group"]]),
        keep=keep,
        model=model,
        device=device,
    )


def epoch_order(n: int, batch_size: int, group: Tensor | None) -> list[Tensor]:
    """Index tensors of one epoch, from torch's global generator.

    Args:
        n: Images.
        batch_size: Images per batch; the rest that fills no batch is left out of this epoch.
        group: (N,) group index to draw evenly from, with replacement; None draws every image
            once.
    """
    if group is None:
        order = torch.randperm(n)
    else:
        weight = 1.0 / torch.bincount(group).double()[group]
        order = torch.multinomial(weight, n, replacement=True)
    starts = range(0, n - batch_size + 1, batch_size)
    return [order[start : start + batch_size] for start in starts] or [order]
