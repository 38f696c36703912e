"""Image, mask and background become a variant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ifambench.data.swap.fills import without_object
from ifambench.data.swap.shapes import (
    Image,
    Mask,
    bounding_box,
    dilated,
    kept_inside,
    moved,
    soft,
)

MIXED = ("mixed_same", "mixed_rand", "mixed_other", "mixed_next")


@dataclass(frozen=True)
class Style:
    """How a swap is made, apart from which background.

    Attributes:
        fill: What fills the place of the background's own object, see `fills.py`.
        feather: Sigma of the soft edge in pixels; 0 for a hard one.
        fg_dilate: Pixels by which the mask grows before the object is cut out.
        bg_dilate: Pixels by which the mask grows before its box is taken out of a background.
    """

    fill: str = "tile"
    feather: float = 0.0
    fg_dilate: int = 0
    bg_dilate: int = 0


def background(image: Image, mask: Mask, style: Style) -> Image:
    """The image without its object: B(j), also called Only-BG-T. An empty mask changes nothing."""
    if not mask.any():
        return image
    return without_object(image, bounding_box(dilated(mask, style.bg_dilate)), style.fill)


def paste(
    image: Image, mask: Mask, behind: Image, style: Style, move: tuple[int, int] = (0, 0)
) -> Image:
    """The object of an image in front of a background.

    Where the mask is and nothing is soft, the pixels are those of the image, bit for bit.

    Args:
        image: (S, S, 3).
        mask: (S, S), what is pasted.
        behind: (S, S, 3).
        style: Edges.
        move: Pixels to the right and down; shortened where the object would leave the image.
    """
    cut = dilated(mask, style.fg_dilate)
    if cut.any():
        dx, dy = kept_inside(bounding_box(cut), *move, side=len(image))
        image, cut = moved(image, dx, dy), moved(cut, dx, dy)
    if style.feather == 0:
        return np.where(cut[..., None], image, behind)
    opacity = soft(cut, style.feather)[..., None]
    return np.rint(image * opacity + behind * (1 - opacity)).astype(np.uint8)


def no_fg(image: Image, mask: Mask, style: Style) -> Image:
    """The background, with a black hole of the object's shape."""
    return paste(
        np.zeros_like(image), dilated(mask, style.bg_dilate), image, Style(feather=style.feather)
    )


def only_bg_b(image: Image, mask: Mask, style: Style) -> Image:
    """The background, with a black box in place of the object."""
    return background(image, mask, Style("black", bg_dilate=style.bg_dilate))
