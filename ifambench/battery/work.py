"""How the battery is made, and what all its parts share: model, data, partners, mean image."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.masked import MaskedModel
from ifambench.battery.partners import Partners
from ifambench.data.manifest import SuiteData
from ifambench.data.swap.compose import MIXED
from ifambench.explain.base import stable_hash
from ifambench.models.base import Classifier
from ifambench.predict.forward import Batch, load_batch

CHUNK = 16
"""Images per part; fixed, so that a run can go on with another batch size."""
_MEAN_OF = 64

KEEP_OBJECT = (*MIXED, "only_fg")
"""Background swaps in which the object stays what it is."""
FILLS = ("zero", "mean", "noise", "noise100", "other", "nan")


@dataclass(frozen=True)
class BatterySettings:
    """How the tests are made.

    Attributes:
        seed: Of every random choice.
        batch_size: Inputs per forward pass.
        device: Where to compute; the model is there already.
        tests: Which tests.
        fills: What T1 puts outside of the mask; `nan` only for models that drop patches.
        steps: Points of T8's curves beside the start.
        draws: Random masks of equal area that a control is averaged over.
        attack_steps: Of T9's projected gradient ascent.
        attack_epsilon: Its largest change of a colour, on the scale [0, 1].
    """

    seed: int = 0
    batch_size: int = 64
    device: torch.device | str = "cpu"
    tests: tuple[str, ...] = tuple(f"T{k}" for k in range(1, 11))
    fills: tuple[str, ...] = FILLS
    steps: int = 10
    draws: int = 5
    attack_steps: int = 20
    attack_epsilon: float = 8 / 255

    @property
    def facts(self) -> dict[str, float]:
        """The numbers that belong to the results, for the record."""
        names = ("steps", "draws", "attack_steps", "attack_epsilon")
        return {name: getattr(self, name) for name in names}


@dataclass
class Work:
    """What all parts share.

    Attributes:
        masked: The model.
        data: Where pixels and masks are.
        rows: All tested manifest rows, of the variant `original`, with `y_pred`.
        settings: How to test.
    """

    masked: MaskedModel
    data: SuiteData
    rows: pd.DataFrame
    settings: BatterySettings
    randomised: dict[str, Classifier] = field(default_factory=dict)
    """Copies with one stage randomised, see `randomise.py`."""

    def __post_init__(self) -> None:
        self.by_id = self.rows.set_index("id", drop=False)
        self.has_mask = self.rows["mask"].fillna("").ne("").to_numpy()
        seed = self.settings.seed
        self.partners = Partners(self.rows, seed)
        self.backgrounds = Partners(self.rows[self.has_mask], seed)

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) patches."""
        return self.masked.model.patch_grid

    @cached_property
    def variants(self) -> dict[str, pd.DataFrame]:
        """Variants that keep the object in its place and change the rest: rows with masks by id."""
        manifest = self.data.manifest
        rows = manifest[manifest["id"].isin(self.rows["id"]) & manifest["mask"].fillna("").ne("")]
        swaps = {item.id: getattr(item, "swap", "") for item in self.data.suite.variant}
        names = [name for name in rows["variant"].unique() if swaps.get(name, name) in KEEP_OBJECT]
        return {name: rows[rows["variant"] == name].set_index("id", drop=False) for name in names}

    @cached_property
    def mean_image(self) -> Tensor:
        """The mean over some of the images, (3, H, W)."""
        ids = sorted(self.rows["id"], key=lambda name: stable_hash("battery", "mean", name))
        total = torch.zeros(())
        chosen = self.by_id.loc[ids[:_MEAN_OF]]
        for start in range(0, len(chosen), CHUNK):
            pixels = self.data.pixels.images(chosen.iloc[start : start + CHUNK])
            total = total + self.normalise(pixels).double().cpu().sum(dim=0)
        return (total / len(chosen)).float().to(self.settings.device)

    def normalise(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Model input on the device."""
        return self.masked.model.data_config.normalise(pixels, self.settings.device)

    def load(self, rows: pd.DataFrame) -> Batch:
        """Model input of manifest rows, with true masks where the model needs them."""
        return load_batch(self.masked.model, self.data, rows, self.settings.device)
