"""The sections `[[variant]]` and `[[pool]]` of `suite.toml`: the same images, altered.

A variant has the ids of the images it alters, so that predictions are paired image by image. It is
made from the evaluated split unless `splits` says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from ifambench.suites.parts import Closed, Inside, Name, PathPattern, Sha256, Split, tag_by

Fill = Literal["black", "mean", "blur", "tile", "inpaint", "external"]
Swap = Literal[
    "only_fg",
    "only_bg_b",
    "only_bg_t",
    "no_fg",
    "mixed_same",
    "mixed_rand",
    "mixed_other",
    "mixed_next",
]
SWAPS: tuple[Swap, ...] = get_args(Swap)
"""All swaps. Random numbers are addressed by the position: new ones come last."""


class _Base(Closed):
    id: Name
    """Name in tables; `original` is the unaltered images."""
    splits: list[Split] = Field(default=["test"])
    summary: str = ""


class FilesVariant(_Base):
    """Other files for the same ids: `images` has the same relative paths as the originals.

    With `path` (a pattern of the reader `image_folder`) the ids are made as there. `aligned` is
    False when the files cannot be paired with the originals; then their ids are their own.
    """

    kind: Literal["files"] = "files"
    images: Inside | None = None
    path: PathPattern | None = None
    aligned: bool = True
    subset: bool = False
    """Only some of the images have it."""
    folders: list[Inside] = Field(default_factory=list)
    """Candidate folders below the data folder, when it does not lie in the suite's folder."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.images is None) == (self.path is None):
            raise ValueError("exactly one of images and path must be given")
        return self


class SwapVariant(_Base):
    """A background swap, rendered from images and masks (Xiao et al. 2020, arXiv 2006.09994)."""

    kind: Literal["background_swap"]
    swap: Swap
    fill: Fill = "tile"
    """What takes the place of the object in the background that is pasted under another one."""
    pool: str | None = None
    """Backgrounds of a `[[pool]]`, with `fill = "external"`."""
    pair_by: str = "y"
    """What "same", "other" and "next" are about: `y`, or `attribute:NAME`."""
    seed: int = Field(default=0, ge=0)
    feather_px: float = Field(default=0.0, ge=0)
    fg_dilate_px: int = Field(default=0, ge=0)
    bg_dilate_px: int = Field(default=0, ge=0)
    placement: Literal["keep", "center", "random"] = "keep"
    quality_filter: bool = True
    """Leave out objects that are tiny or huge; else every object that can be seen is kept."""
    manifest_sha256: Sha256 | None = None
    """Of the pairing table, so that the pairing is the published one."""

    @model_validator(mode="after")
    def _pool_and_fill(self) -> Self:
        if (self.fill == "external") != (self.pool is not None):
            raise ValueError("a pool belongs to fill = 'external'")
        return self


class AblationVariant(_Base):
    """A region altered: Hard ImageNet, RIVAL10, Salient ImageNet."""

    kind: Literal["ablation"]
    region: Literal["object", "box", "background"]
    replace: Literal["grey", "tile", "noise"]
    sigma: float = Field(default=0.25, gt=0)
    """Of Gaussian noise, on the scale [0, 1]."""
    seed: int = Field(default=0, ge=0)


class WatermarkVariant(_Base):
    """A translucent watermark written over the whole image (ImageNet-W)."""

    kind: Literal["watermark"]
    text: str = Field(min_length=1)
    opacity: float = Field(default=0.5, gt=0, le=1)


Variant = Annotated[
    Annotated[FilesVariant, Tag("files")]
    | Annotated[SwapVariant, Tag("background_swap")]
    | Annotated[AblationVariant, Tag("ablation")]
    | Annotated[WatermarkVariant, Tag("watermark")],
    Discriminator(tag_by("kind", "files")),
]


class Pool(Closed):
    """Backgrounds of another collection, one folder per category."""

    name: Name
    folders: list[Inside] = Field(min_length=1)
    """Candidate folders below the data folder, or below the suite's folder."""
    categories: dict[str, Inside] = Field(default_factory=dict)
    """Category -> folder below; a category is a value of what `pair_by` names. By default all
    images below the folder are one category that serves everyone."""
    splits: list[Split] = Field(default_factory=list)
