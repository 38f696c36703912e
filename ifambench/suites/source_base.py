"""What all kinds of `[source]` have: folders, masks, splits that are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Literal, Self

from pydantic import Field, model_validator

from ifambench.suites.parts import Closed, Inside, Split

MaskFormat = Literal["bright", "values", "npy"]


class Holdout(Closed):
    """A split that the data do not have: drawn from another one, by sorted ids and a seed."""

    split: Split
    of: Split
    share: float | None = Field(default=None, gt=0, lt=1)
    """Share of each cell that is taken, at least one image and at most half of it; or"""
    per_cell: int | None = Field(default=None, gt=0)
    """images of each cell (no more than half of it)."""
    by: list[str] = Field(default=["y"])
    """What makes a cell: `y` and attributes."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.share is None) == (self.per_cell is None):
            raise ValueError("exactly one of share and per_cell must be given")
        if self.split == self.of:
            raise ValueError("split and of must differ")
        return self


class SourceBase(Closed):
    """What all readers have."""

    folders: list[Inside] = Field(min_length=1)
    """Candidate folders below the data folder; the first that holds `marker` is taken."""
    images: Inside = ""
    """Folder below which the image files lie; empty for the folder itself."""
    masks: Inside | None = None
    """Folder with a mask per image: the same path, but with `mask_suffix`."""
    masks_optional: bool = False
    """The masks are not part of the data and may be absent."""
    mask_suffix: str = Field(default=".png", pattern=r"^[\w.-]+$")
    mask_format: MaskFormat = "bright"
    """`bright`: grey levels above `mask_threshold`; `values`: pixels with one of `mask_values`;
    `npy`: a 2-D array, non-zero or above `mask_threshold` / 255 if it holds fractions."""
    mask_threshold: int = Field(default=127, ge=0, le=254)
    """A pixel belongs to the object when its mask is brighter than this."""
    mask_values: list[int] = Field(default_factory=list)
    holdout: list[Holdout] = Field(default_factory=list)
    homepage: str = ""
    how_to_get: str = ""
    """What a user does who does not have the data."""
    fingerprint: dict[Split, str] = Field(default_factory=dict)
    """sha256 of ids, labels, attributes and file names per split, at the default size."""

    @property
    def marker(self) -> str:
        """The file or folder by which the suite's folder is known."""
        return self.images

    @property
    def mask_root(self) -> str | None:
        """The file or folder without which there are no masks; None for a suite without masks."""
        return self.masks

    @model_validator(mode="after")
    def _masks_named(self) -> Self:
        if not all(PureWindowsPath(name).parts for name in self.folders):
            raise ValueError("folders must name a folder below the data folder")
        if self.masks_optional and self.mask_root is None:
            raise ValueError("masks_optional without masks")
        if (self.mask_format == "values") != bool(self.mask_values):
            raise ValueError("mask_values belong to mask_format 'values'")
        return self

    @property
    def drawn_splits(self) -> set[str]:
        """Splits that the files do not name."""
        return {item.split for item in self.holdout}

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """Codings must give every name of the suite, and no other.

        Raises:
            ValueError: Naming the coding and the name.
        """
