"""The images that are explained together: pixels, masks and the ends of their curves.

Everything here is shared by all explainers and made when it is first needed, so that a part whose
explainers are all in the journal loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.manifest import SuiteData
from ifambench.explain.curves import Scored, empty_logits
from ifambench.metrics.localization import patch_coverage
from ifambench.models.base import Classifier
from ifambench.predict.forward import Batch, forward_of, load_batch, probabilities

CHUNK = 32
"""Images per part; fixed, so that a run can go on with another batch size."""


@dataclass(frozen=True)
class ExplainSettings:
    """How explanations are measured.

    Attributes:
        steps: S, points of a curve beside the start.
        random_draws: Orders that the random floor is averaged over.
        seed: Seed of explainers with random numbers.
        batch_size: Inputs per forward pass; it changes no result.
        device: Where to compute; the model is there already.
        operator: What a removed patch becomes.
    """

    steps: int = 16
    random_draws: int = 5
    seed: int = 0
    batch_size: int = 64
    device: torch.device | str = "cpu"
    operator: Literal["mean"] = "mean"


@dataclass
class Work:
    """What all parts share."""

    model: Classifier
    data: SuiteData
    settings: ExplainSettings

    @cached_property
    def shared_empty(self) -> Tensor:
        """Logits (1, C) of the empty image, for models that see nothing but the pixels."""
        size = self.model.data_config.image_size
        pixels = torch.zeros(1, 3, size, size, device=self.settings.device)
        return empty_logits(forward_of(self.model, None), pixels, per_image=False)


@dataclass
class Part:
    """Some images of one variant.

    Attributes:
        work: What all parts share.
        rows: Manifest rows with `y_pred` and `prob_pred`.
    """

    work: Work
    rows: pd.DataFrame

    @property
    def ids(self) -> list[str]:
        """The image ids."""
        return list(self.rows["id"])

    @cached_property
    def batch(self) -> Batch:
        """Model input on the device."""
        work = self.work
        return load_batch(work.model, work.data, self.rows, work.settings.device)

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """(N,) the class whose score is followed: that predicted on the clean image."""
        return np.array(self.rows["y_pred"], dtype=np.int64)

    @cached_property
    def coverage(self) -> NDArray[np.float64]:
        """(N, h, w) share of each patch on the object; NaN for images without a mask."""
        known = self.rows["mask"].fillna("").ne("").to_numpy()
        grid = self.work.model.patch_grid
        coverage = np.full((len(self.rows), *grid), np.nan)
        if known.any():
            masks = self.work.data.pixels.masks(self.rows[known])
            coverage[known] = patch_coverage(masks, grid)
        return coverage

    @cached_property
    def scored(self) -> Scored:
        """The images as the curve engine takes them."""
        return Scored(
            forward=forward_of(self.work.model, self.batch.masks),
            pixels=self.batch.images,
            grid=self.work.model.patch_grid,
            targets=self.targets,
            full=np.array(self.rows["prob_pred"], dtype=np.float64),
            empty=probabilities(self._empty())[np.arange(len(self.rows)), self.targets],
        )

    def _empty(self) -> Tensor:
        images, masks = self.batch
        if masks is None:
            return self.work.shared_empty.expand(len(images), -1)
        return empty_logits(forward_of(self.work.model, masks), images, per_image=True)


def parts_of(work: Work, rows: pd.DataFrame, predictions: pd.DataFrame) -> Iterator[Part]:
    """The rows in parts, with what was predicted for them.

    Raises:
        ValueError: If an image has no prediction.
    """
    key = ["id", "variant"]
    known = predictions[[*key, "y_pred", "prob_pred"]]
    merged = rows.merge(known, on=key, how="left", validate="one_to_one")
    if merged["y_pred"].isna().any():
        raise ValueError(f"no prediction for {merged.loc[merged['y_pred'].isna(), 'id'].min()}")
    for start in range(0, len(merged), CHUNK):
        yield Part(work, merged.iloc[start : start + CHUNK])
