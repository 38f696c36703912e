"""Swapped images, composed when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.files import ByteCache
from ifambench.data.manifest import Pixels
from ifambench.data.rendered import Rendered, original
from ifambench.data.swap import compose
from ifambench.data.swap.pairing import Pair
from ifambench.data.swap.pools import pool_path
from ifambench.data.swap.shapes import Image, Mask, bounding_box, dilated, kept_inside, moved
from ifambench.suites.variant import SwapVariant


def style_of(variant: SwapVariant) -> compose.Style:
    """The style that the suite file gives."""
    fill = "tile" if variant.fill == "external" else variant.fill
    return compose.Style(fill, variant.feather_px, variant.fg_dilate_px, variant.bg_dilate_px)


class SwapPixels(Rendered):
    """The images of one swap variant.

    Args:
        variant: The section of the suite file.
        pairs: Object id -> line of the pairing table.
        originals: Manifest rows of the originals, indexed by id.
        base: Their pixels, in the geometry of the model.
        side: Pixels of the images in which the table's `dx` and `dy` are counted.
        pool: Pixels of the photos of the variant's pool (`path` from the id of the background).
        cache: Keeps images up to its bound.
    """

    def __init__(
        self,
        variant: SwapVariant,
        pairs: Mapping[str, Pair],
        originals: pd.DataFrame,
        base: Pixels,
        side: int,
        pool: Pixels | None = None,
        cache: ByteCache | None = None,
    ) -> None:
        super().__init__(variant.id, originals, base, self.composed, cache)
        self.settings, self._pairs, self._pool, self._side = variant, pairs, pool, side

    def composed(self, name: str) -> Image:
        """The variant of one image."""
        swap, style = self.settings.swap, style_of(self.settings)
        if swap == "only_bg_t":
            return self._behind(name, style)
        image, mask = original(self.originals, self.base, name)
        if swap == "no_fg":
            return compose.no_fg(image, mask, style)
        if swap == "only_bg_b":
            return compose.only_bg_b(image, mask, style)
        behind = np.zeros_like(image) if swap == "only_fg" else self._behind(name, style)
        return compose.paste(image, mask, behind, style, self._move(name, len(image)))

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Where the object is, or was."""
        masks = super().masks(rows)
        if not len(rows):
            return masks
        return np.stack([self._moved(*each) for each in zip(rows["id"], masks, strict=True)])

    def _behind(self, name: str, style: compose.Style) -> Image:
        """The background of an object, without the object that was in it."""
        chosen = self._pairs[name].bg_id
        if self._pool is None:
            return compose.background(*original(self.originals, self.base, chosen), style)
        photo: Image = self._pool.images(pd.DataFrame({"path": [pool_path(chosen)]}))[0]
        return photo

    def _move(self, name: str, size: int) -> tuple[int, int]:
        pair = self._pairs[name]
        return round(pair.dx * size / self._side), round(pair.dy * size / self._side)

    def _moved(self, name: str, mask: Mask) -> Mask:
        if self._move(name, len(mask)) == (0, 0) or not mask.any():
            return mask
        box = bounding_box(dilated(mask, self.settings.fg_dilate_px))
        return moved(mask, *kept_inside(box, *self._move(name, len(mask)), side=len(mask)))
