"""A background without its object: the box around the object is filled with something else.

The hole is always the bounding box, never the silhouette, so that no fill leaves the object's
shape. Definitions (the code that filled ImageNet-9 is not published; these are ours):

- `black`: zeros. Leaks position and size of the box, and is far from any photo.
- `mean`: the mean colour of the pixels outside of the box.
- `tile`: of the four rectangles of full width or height outside of the box (above, below, left,
  right) the largest, the first of equals, repeated over the box from the box's top left corner.
- `blur`: a Gaussian mean (sigma = side / 8) of the pixels outside of the box.
- `inpaint`: the harmonic function with the colours around the box as its boundary (Laplace's
  equation, solved exactly, see `harmonic.py`); classical, deterministic, no weights.
- `external`: no fill, the background is a photo of a `[[pool]]`.

A box that covers the whole image leaves nothing to fill from: then everything is black.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ifambench.data.swap.harmonic import harmonic
from ifambench.data.swap.shapes import Box, Image


def without_object(image: Image, box: Box, fill: str) -> Image:
    """The image with its box filled.

    Args:
        image: (S, S, 3).
        box: What is replaced.
        fill: One of `FILLS`.
    """
    found = image.copy()
    outside = np.ones(image.shape[:2], np.bool_)
    outside[box.slices] = False
    found[box.slices] = FILLS[fill](image, box) if outside.any() else 0
    return found


def largest_strip(side: int, box: Box) -> Box:
    """The largest rectangle of full width or height outside of the box, the first of equals.

    >>> largest_strip(10, Box(2, 9, 4, 7))
    Box(top=0, bottom=10, left=0, right=4)
    """
    strips = [
        Box(0, box.top, 0, side),
        Box(box.bottom, side, 0, side),
        Box(0, side, 0, box.left),
        Box(0, side, box.right, side),
    ]
    return max(strips, key=lambda strip: strip.area)


def _black(image: Image, box: Box) -> Image:
    return np.zeros_like(image[box.slices])


def _mean(image: Image, box: Box) -> Image:
    total = image.sum(axis=(0, 1), dtype=np.int64)
    inside = image[box.slices].sum(axis=(0, 1), dtype=np.int64)
    n = image.shape[0] * image.shape[1] - box.area
    return np.broadcast_to(_rounded((total - inside) / n), image[box.slices].shape)


def _tile(image: Image, box: Box) -> Image:
    strip = image[largest_strip(len(image), box).slices]
    rows = np.arange(box.bottom - box.top) % strip.shape[0]
    columns = np.arange(box.right - box.left) % strip.shape[1]
    tiled: Image = strip[np.ix_(rows, columns)]
    return tiled


def _blur(image: Image, box: Box) -> Image:
    rows, columns = (_gaussian(len(image))[part] for part in box.slices)
    weight = np.ones((*image.shape[:2], 1))
    weight[box.slices] = 0
    colours, amount = (
        np.tensordot(columns, np.tensordot(rows, part, 1), (1, 1)).transpose(1, 0, 2)
        for part in (image * weight, weight)
    )
    return _rounded(colours / amount)


def _inpaint(image: Image, box: Box) -> Image:
    return _rounded(harmonic(image.astype(np.float64), box))


def _gaussian(side: int) -> NDArray[np.float64]:
    """Weights between all pixels of a row; nothing is cut off, so no sum of weights is 0."""
    distance = np.subtract.outer(np.arange(side), np.arange(side)) / (side / 8)
    weights: NDArray[np.float64] = np.exp(-0.5 * distance**2)
    return weights


def _rounded(values: NDArray[np.float64]) -> Image:
    return np.rint(values).clip(0, 255).astype(np.uint8)


FILLS: dict[str, Callable[[Image, Box], Image]] = {
    "black": _black,
    "mean": _mean,
    "tile": _tile,
    "blur": _blur,
    "inpaint": _inpaint,
}
"""By name; each gives the pixels of the box."""
