"""The images that are tested together, and what all tests share of them.

Everything is made when it is first needed, so that a part whose tests are all in the journal loads
nothing; and nothing outlives its part, so memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.fills import noise_images
from ifambench.battery.masked import MaskedModel
from ifambench.battery.partners import Partners
from ifambench.battery.work import CHUNK, BatterySettings, Work
from ifambench.explain.fills import blurred
from ifambench.metrics.localization import patch_coverage
from ifambench.models.base import Selection
from ifambench.predict.forward import Batch, refuse_non_finite


class Value(NamedTuple):
    """One quantity of all images of a part."""

    quantity: str
    condition: str
    values: NDArray[Any]
    """(B,) numbers; NaN where undefined."""


class Found(NamedTuple):
    """Something of other images; there may be none for some."""

    content: Tensor
    """(B, ...); arbitrary where not known."""
    known: NDArray[np.bool_]
    """(B,)."""


@dataclass
class Part:
    """Some images.

    Attributes:
        work: What all parts share.
        rows: Manifest rows of the variant `original`, with `y_pred`.
    """

    work: Work
    rows: pd.DataFrame
    kept: dict[str, Any] = field(default_factory=dict)
    """Swapped images by condition, see `swaps.py`."""

    @property
    def masked(self) -> MaskedModel:
        """The model."""
        return self.work.masked

    @property
    def settings(self) -> BatterySettings:
        """How to test."""
        return self.work.settings

    @property
    def ids(self) -> list[str]:
        """The image ids."""
        return list(self.rows["id"])

    @property
    def targets(self) -> NDArray[np.int64]:
        """(B,) the predicted classes."""
        return np.array(self.rows["y_pred"], dtype=np.int64)

    @property
    def target_tensor(self) -> Tensor:
        """The same on the device."""
        return torch.tensor(self.targets, device=self.settings.device)

    @cached_property
    def batch(self) -> Batch:
        """Model input on the device."""
        return self.work.load(self.rows)

    @property
    def images(self) -> Tensor:
        """(B, 3, H, W)."""
        return self.batch.images

    @cached_property
    def own(self) -> Selection:
        """M(x)."""
        return self.masked.select(self.images, self.batch.masks)

    @cached_property
    def own_mask(self) -> NDArray[np.bool_]:
        """(B, h, w)."""
        return to_numpy(self.own.mask)

    @cached_property
    def area(self) -> NDArray[np.int64]:
        """(B,) patches in the mask."""
        return np.asarray(self.own_mask.sum(axis=(1, 2)), dtype=np.int64)

    @cached_property
    def logits(self) -> Tensor:
        """g(x, M(x)), (B, C)."""
        found = self.masked.under(self.images, self.own)
        refuse_non_finite(found.cpu().double().numpy(), self.ids, "the logits are")
        return found

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(B,) labels of f(x)."""
        return self.masked.predicted(self.logits)

    @cached_property
    def has_mask(self) -> NDArray[np.bool_]:
        """(B,) whether the true object is known."""
        return np.array(self.rows["mask"].fillna("").ne(""), dtype=np.bool_)

    @cached_property
    def objects(self) -> NDArray[np.bool_]:
        """(B, H, W) true objects; empty where not known."""
        side = self.images.shape[-1]
        found = np.zeros((len(self.rows), side, side), np.bool_)
        if self.has_mask.any():
            found[self.has_mask] = self.work.data.pixels.masks(self.rows[self.has_mask])
        return found

    @cached_property
    def coverage(self) -> NDArray[np.float64]:
        """(B, h, w) share of each patch on the object; NaN where not known."""
        found = patch_coverage(self.objects, self.work.grid)
        found[~self.has_mask] = np.nan
        return found

    def correct(self, logits: Tensor) -> NDArray[np.float64]:
        """(B,) 1 where the label is right."""
        right = self.masked.predicted(logits) == self.rows["y"].to_numpy()
        return np.asarray(right, dtype=np.float64)

    def score(self, logits: Tensor) -> NDArray[np.float64]:
        """(B,) probability of the class that f predicts."""
        return self.masked.probability(logits, self.targets)

    def partner_rows(self, kind: str, partners: Partners) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
        """Rows of the partners, the images' own where there is none, and whether there is one."""
        pairs = zip(self.rows["id"], self.rows["y"], strict=True)
        names = [partners.of(kind, name, int(y)) for name, y in pairs]
        chosen = [own if name is None else name for own, name in zip(self.ids, names, strict=True)]
        known = np.array([name is not None for name in names], dtype=np.bool_)
        return self.work.by_id.loc[chosen].reset_index(drop=True), known

    def fill(self, name: str) -> Found:
        """A fill of `fills.py` for each image."""
        every = np.ones(len(self.rows), dtype=np.bool_)
        if name == "other":
            rows, known = self.partner_rows("other", self.work.partners)
            return Found(self.work.normalise(self.work.data.pixels.images(rows)), known)
        return Found(self._plain_fill(name), every)

    def _plain_fill(self, name: str) -> Tensor:
        if name == "zero":
            return torch.zeros_like(self.images)
        if name == "nan":
            return torch.full_like(self.images, float("nan"))
        if name == "mean":
            return self.work.mean_image.expand_as(self.images)
        if name == "blur":
            return blurred(self.images)
        config = self.masked.model.data_config
        noise = noise_images(self.ids, config, self.settings.seed).to(self.images)
        return {"noise": 1, "noise100": 100}[name] * noise


def parts_of(work: Work) -> Iterator[Part]:
    """The rows in parts."""
    for start in range(0, len(work.rows), CHUNK):
        yield Part(work, work.rows.iloc[start : start + CHUNK])


def to_numpy(mask: Tensor) -> NDArray[np.bool_]:
    """A mask on the CPU."""
    return np.asarray(mask.detach().cpu().numpy(), dtype=np.bool_)


def to_mask(mask: NDArray[np.bool_], like: Tensor) -> Tensor:
    """A mask on the device."""
    return torch.from_numpy(np.ascontiguousarray(mask)).to(like.device)


def where_known(values: NDArray[Any], *known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """NaN where one of the conditions does not hold."""
    return np.where(np.logical_and.reduce(known), values.astype(np.float64), np.nan)


def mean_of(several: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over draws, (B,)."""
    return np.asarray(np.mean(several, axis=0), dtype=np.float64)
