"""One split as a source of batches: pixels are read when they are needed, not before."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.manifest import Pixels, SuiteData
from ifambench.models.base import Classifier
from ifambench.predict.oracle import oracle_patches
from ifambench.train.prefetch import prefetched
from ifambench.train.steps import Batch


class _Read(NamedTuple):
    """What was read for a batch, in main memory."""

    chosen: Tensor
    images: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None


@dataclass(frozen=True)
class TrainSet:
    """One split, ready to be drawn from.

    Attributes:
        rows: Manifest rows, N of them.
        pixels: Images and masks behind the rows.
        y: (N,) class.
        group: (N,) index of the declared group.
        model: The model whose input the batches are.
        device: Where the batches go.
        moving_masks: Whether a batch for a model that is shown true masks carries their pixels
            too, for augmentations that move the object.
    """

    rows: pd.DataFrame
    pixels: Pixels
    y: Tensor
    group: Tensor
    model: Classifier
    device: torch.device
    moving_masks: bool = False

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, index: Tensor) -> Batch:
        """The images at `index`."""
        return self._ready(self._read(index))

    def batches(self, indices: Iterable[Tensor]) -> Generator[Batch, None, None]:
        """A batch per index tensor, in order; the next ones are read in a thread meanwhile."""
        with closing(prefetched(self._read, indices)) as found:
            for read in found:
                yield self._ready(read)

    def in_order(self, batch_size: int) -> Generator[Batch, None, None]:
        """All images once, in manifest order."""
        return self.batches(torch.split(torch.arange(len(self)), batch_size))

    def _read(self, index: Tensor) -> _Read:
        """The slow part: files are read and decoded. Uses no torch arithmetic, no device."""
        rows = self.rows.iloc[index.numpy()]
        masked = "true_masks" in self.model.capabilities
        return _Read(index, self.pixels.images(rows), self.pixels.masks(rows) if masked else None)

    def _ready(self, read: _Read) -> Batch:
        """On the device."""
        masks = read.masks
        keep = None if masks is None else oracle_patches(self.model, masks).to(self.device)
        moving = None
        if masks is not None and self.moving_masks:
            moving = torch.from_numpy(masks).to(self.device)
        return Batch(
            images=self.model.data_config.normalise(read.images, self.device),
            y=self.y[read.chosen].to(self.device),
            group=self.group[read.chosen].to(self.device),
            keep=keep,
            pixel_masks=moving,
        )


def train_set(
    data: SuiteData,
    split: str,
    model: Classifier,
    device: torch.device,
    moving_masks: bool = False,
) -> TrainSet:
    """The original images of a split.

    Args:
        data: The suite's data.
        split: Its name.
        model: The model whose input the batches are.
        device: Where the batches go.
        moving_masks: Give the pixels of true masks too, see `TrainSet`.
    """
    rows = data.rows(split)
    names = list(data.suite.groups.names)
    return TrainSet(
        rows=rows,
        pixels=data.pixels,
        y=torch.from_numpy(rows["y"].to_numpy(np.int64, copy=True)),
        group=torch.tensor([names.index(group) for group in rows["group"]]),
        model=model,
        device=device,
        moving_masks=moving_masks,
    )
