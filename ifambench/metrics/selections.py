"""The model's own masks as they are stored, and as numbers for a probe.

A mask is the lower-case hex text of `numpy.packbits` of its patches in raster order, so the last
byte is padded with zeros; the number of patches comes from the model's patch grid.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.errors import EnvironmentProblem

SUMMARIES = 3
"""How many of the features sum up the mask: area, centre down, centre across; they are last."""


def pack_masks(masks: NDArray[np.bool_]) -> list[str]:
    """The text of each mask.

    Args:
        masks: (N, h, w).

    >>> pack_masks(np.array([[[True, False], [False, True]]]))
    ['90']
    """
    bits = np.packbits(masks.reshape(len(masks), -1), axis=1)
    return [row.tobytes().hex() for row in bits]


def unpack_masks(texts: pd.Series, grid: tuple[int, int]) -> NDArray[np.bool_]:
    """(N, h, w) masks from their texts.

    Raises:
        EnvironmentProblem: If a text is not a mask of this grid.

    >>> unpack_masks(pd.Series(["90"]), (2, 2)).tolist()
    [[[True, False], [False, True]]]
    """
    n = grid[0] * grid[1]
    length = 2 * ((n + 7) // 8)
    try:
        if not (texts.str.len() == length).all():
            raise ValueError(f"texts of other lengths than {length}")
        packed = np.frombuffer(bytes.fromhex("".join(texts)), dtype=np.uint8)
    except (ValueError, TypeError) as error:
        raise EnvironmentProblem(
            f"a mask is not that of {grid[0]} x {grid[1]} patches: {error}",
            where="selections, column mask",
            next_step="the table is damaged: run again",
        ) from error
    bits = np.unpackbits(packed.reshape(len(texts), -1), axis=1, count=n)
    return bits.astype(bool).reshape(len(texts), *grid)


def mask_features(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What a probe reads: every patch, the area, and the centre of the mask.

    Args:
        masks: (N, h, w).

    Returns:
        (N, h w + `SUMMARIES`) numbers in [0, 1]; an empty mask has its centre in the middle.
    """
    n, height, width = masks.shape
    area = masks.mean(axis=(1, 2))
    down, across = (np.arange(size) / max(size - 1, 1) for size in (height, width))
    rows, columns = masks.mean(axis=2), masks.mean(axis=1)
    centres = [_centre(rows, down), _centre(columns, across)]
    flat = masks.reshape(n, -1).astype(np.float64)
    return np.column_stack([flat, area, *centres])


def _centre(shares: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = shares.sum(axis=1)
    middle: NDArray[np.float64] = np.full(total.shape, 0.5)
    np.divide(shares @ places, total, out=middle, where=total > 0)
    return middle
