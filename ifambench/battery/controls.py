"""Other masks of the same area, orders of patches, and how much two masks agree.

Random numbers belong to the image id and the seed, never to the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash

Masks = NDArray[np.bool_]


def patch_ranks(
    values: NDArray[np.floating],
    ids: Sequence[str],
    seed: int,
    draw: int = 0,
    first: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Place of each patch in descending order of its value, ties in a seeded order.

    Args:
        values: (B, n).
        ids: B image ids.
        seed: Of the order of ties.
        draw: Which of several orders of ties.
        first: (B, n) patches that come before all others, whatever their value.

    Returns:
        (B, n), 0 for the first patch.
    """
    n = values.shape[1]
    ties = [Draws(stable_hash("battery", "ties", i), seed, draw).permutation(n) for i in ids]
    later = np.zeros(values.shape, np.bool_) if first is None else ~first
    order = np.lexsort((np.array(ties).reshape(-1, n), -values, later), axis=-1)
    return np.argsort(order, axis=1).astype(np.int64)


def random_masks(
    area: NDArray[np.int64], grid: tuple[int, int], ids: Sequence[str], seed: int, draw: int
) -> Masks:
    """`area` random patches per image, (B, h, w)."""
    equal = np.zeros((len(ids), grid[0] * grid[1]))
    return _first(patch_ranks(equal, ids, seed, draw), area, grid)


def centre_masks(
    area: NDArray[np.int64], grid: tuple[int, int], ids: Sequence[str], seed: int
) -> Masks:
    """The `area` patches that are closest to the middle of the image, (B, h, w)."""
    h, w = grid
    rows, columns = np.indices(grid)
    away = ((rows + 0.5) / h - 0.5) ** 2 + ((columns + 0.5) / w - 0.5) ** 2
    values = np.broadcast_to(-away.ravel(), (len(ids), h * w))
    return _first(patch_ranks(values, ids, seed), area, grid)


def shifted_masks(masks: Masks) -> Masks:
    """The masks moved by half the image down and right, around the border."""
    return np.roll(masks, (masks.shape[1] // 2, masks.shape[2] // 2), axis=(1, 2))


def cut_masks(
    masks: Masks,
    strength: NDArray[np.floating],
    area: NDArray[np.int64],
    ids: Sequence[str],
    seed: int,
) -> Masks:
    """The `area` strongest patches of each mask, or all where it has fewer."""
    values, inside = strength.reshape(len(masks), -1), masks.reshape(len(masks), -1)
    ranks = patch_ranks(values, ids, seed, first=inside)
    return masks & _first(ranks, area, masks.shape[1:])


def overlap(one: Masks, two: Masks) -> NDArray[np.float64]:
    """Intersection over union per image; two empty masks are the same mask, so 1."""
    common = (one & two).sum(axis=(1, 2))
    union = (one | two).sum(axis=(1, 2))
    found: NDArray[np.float64] = np.divide(common, union, out=np.ones(len(one)), where=union > 0)
    return found


def _first(ranks: NDArray[np.int64], area: NDArray[np.int64], grid: tuple[int, ...]) -> Masks:
    return np.asarray(ranks < area[:, None]).reshape(-1, *grid)
