"""Boxes, grown masks, soft edges and moved objects, on square arrays."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
_Kind = TypeVar("_Kind", bound=np.generic)


class Box(NamedTuple):
    """A rectangle of pixels: rows `top` to `bottom - 1`, columns `left` to `right - 1`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def bounding_box(mask: Mask) -> Box:
    """The tight box around a mask.

    Raises:
        ValueError: If the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("an empty mask has no bounding box")
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def dilated(mask: Mask, pixels: int) -> Mask:
    """The mask grown by a disc of this radius; 0 changes nothing."""
    if pixels == 0:
        return mask
    from scipy.ndimage import distance_transform_edt

    grown: Mask = distance_transform_edt(~mask) <= pixels if mask.any() else mask.copy()
    return grown


def soft(mask: Mask, sigma: float) -> NDArray[np.float64]:
    """The mask as opacity in [0, 1]: blurred by a Gaussian; with 0 it is exactly 0 and 1."""
    if sigma == 0:
        return mask.astype(np.float64)
    from scipy.ndimage import gaussian_filter

    blurred: NDArray[np.float64] = gaussian_filter(mask.astype(np.float64), sigma, mode="nearest")
    return blurred.clip(0.0, 1.0)


def kept_inside(box: Box, dx: int, dy: int, side: int) -> tuple[int, int]:
    """The move of a box, shortened so that it stays within the image.

    >>> kept_inside(Box(2, 5, 2, 5), 9, -9, 8)
    (3, -2)
    """
    across = max(-box.left, min(dx, side - box.right))
    down = max(-box.top, min(dy, side - box.bottom))
    return across, down


def moved(array: NDArray[_Kind], dx: int, dy: int) -> NDArray[_Kind]:
    """The array shifted right by dx and down by dy; zeros come in."""
    if not dx and not dy:
        return array
    height, width = array.shape[:2]
    found = np.zeros_like(array)
    to_rows, from_rows = _overlap(dy, height)
    to_columns, from_columns = _overlap(dx, width)
    found[to_rows, to_columns] = array[from_rows, from_columns]
    return found


def _overlap(shift: int, length: int) -> tuple[slice, slice]:
    """Where to, and where from."""
    return slice(max(shift, 0), length + min(shift, 0)), slice(
        max(-shift, 0), length - max(shift, 0)
    )
