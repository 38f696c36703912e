"""The work of curves as one flat list of (image, patches left), each different entry once.

An entry is a row of ranks and a number k: the k most relevant patches, or all others. The sets
themselves are made on the device, chunk by chunk, by one comparison with the ranks; what is held
for all entries at once is a few numbers each, whatever the number of patches.

Equal sets are found by a name of 128 bits: the exclusive or of one random number per patch and one
per image (Zobrist hashing). The names of all prefixes of an order come from one cumulative pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.explain.ranking import Orders


class Places(NamedTuple):
    """Which entries of some orders are wanted."""

    row: NDArray[np.int64]
    """(M,) row of the ranks."""
    k: NDArray[np.int64]
    """(M,) how many of the most relevant patches."""
    inserted: NDArray[np.bool_]
    """(M,) whether those k are all that is left; else they are what is removed."""


@dataclass(frozen=True)
class Items:
    """Sets of patches of some images.

    Attributes:
        image: (M,) image of each set.
        count: (M,) patches that are left.
        names: (M,) equal for equal sets of one image, and for no others.
        places: How each set is made from `orders`.
        orders: The orders of patches.
        allowed: (N, n) bool, patches that may be shown at all; None: all.
    """

    image: NDArray[np.int64]
    count: NDArray[np.int64]
    names: NDArray[np.void]
    places: Places
    orders: Orders
    allowed: NDArray[np.bool_] | None

    def maker(self, chosen: NDArray[np.int64], device: torch.device) -> SetMaker:
        """The chosen sets, on the device."""
        row, k, inserted = (torch.from_numpy(part[chosen]).to(device) for part in self.places)
        allowed = None if self.allowed is None else torch.from_numpy(self.allowed).to(device)
        ranks = torch.from_numpy(self.orders.ranks.astype(np.int32)).to(device)
        image = torch.from_numpy(self.image[chosen]).to(device)
        return SetMaker(ranks, row, k, inserted, image, allowed)


class SetMaker(NamedTuple):
    """Sets of patches on the device, made when they are asked for."""

    ranks: Tensor
    row: Tensor
    k: Tensor
    inserted: Tensor
    image: Tensor
    allowed: Tensor | None

    def make(self, part: slice) -> Tensor:
        """(m, n) bool: the patches left in some of the sets."""
        first = self.ranks[self.row[part]] < self.k[part, None]
        keep = first == self.inserted[part, None]
        return keep if self.allowed is None else keep & self.allowed[self.image[part]]


def items_of(
    orders: Orders, places: Places, n_images: int, allowed: NDArray[np.bool_] | None = None
) -> Items:
    """The sets at some places of the orders."""
    n = orders.ranks.shape[1]
    shown = np.ones((n_images, n), bool) if allowed is None else allowed
    patch_numbers, image_numbers = _numbers(n_images, n)
    sorted_shown = np.zeros((len(orders.ranks), n), np.int64)
    np.put_along_axis(sorted_shown, orders.ranks, shown[orders.image].astype(np.int64), axis=1)
    row, k, inserted = places
    image = orders.image[row]
    before: NDArray[np.int64] = _before(sorted_shown, np.add)
    count = np.where(inserted, before[row, k], before[row, n] - before[row, k])
    names = [
        _names(orders.ranks, sorted_shown, places, one) ^ of_image[image]
        for one, of_image in zip(patch_numbers, image_numbers, strict=True)
    ]
    keys = np.ascontiguousarray(np.stack(names, axis=1))
    return Items(image, count, _as_void(keys), places, orders, allowed)


def chunks(
    count: NDArray[np.int64], cost: Sequence[int], budget: int, *, equal: bool
) -> Iterator[tuple[slice, int]]:
    """Slices of sorted sets that fit the budget, with the count of each.

    Args:
        count: (M,) patches left; ascending where `equal`.
        cost: (n + 1,) tokens of a set by its count.
        budget: Tokens that may be computed at once; at least one set is.
        equal: Whether the sets of a slice must have equal counts.
    """
    starts = [0, *(np.flatnonzero(np.diff(count)) + 1).tolist()] if equal else [0]
    for start, stop in zip(starts, [*starts[1:], len(count)], strict=True):
        size = int(count[start]) if stop > start else 0
        step = max(1, budget // max(1, cost[size]))
        for at in range(start, stop, step):
            yield slice(at, min(at + step, stop)), size


def _numbers(n_images: int, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Random numbers of the patches (2, n) and the images (2, N); they decide nothing else."""
    raw = np.random.PCG64(0).random_raw(2 * (n + n_images)).reshape(2, -1)
    return raw[:, :n], raw[:, n:]


def _names(
    ranks: NDArray[np.int64],
    sorted_shown: NDArray[np.int64],
    places: Places,
    numbers: NDArray[np.uint64],
) -> NDArray[np.uint64]:
    """Half of the name of each set, without its image."""
    ordered = np.zeros(ranks.shape, np.uint64)
    np.put_along_axis(ordered, ranks, np.broadcast_to(numbers, ranks.shape), axis=1)
    shown = np.where(sorted_shown > 0, ordered, np.uint64(0))
    before: NDArray[np.uint64] = _before(shown, np.bitwise_xor)
    first = before[places.row, places.k]
    return np.where(places.inserted, first, before[places.row, -1] ^ first)


def _before(values: NDArray[Any], add: np.ufunc) -> NDArray[Any]:
    """Cumulative values of what comes before each place, (R, n) -> (R, n + 1)."""
    start = np.zeros((len(values), 1), values.dtype)
    return np.concatenate([start, add.accumulate(values, axis=1)], axis=1)


def _as_void(keys: NDArray[np.uint64]) -> NDArray[np.void]:
    return keys.view(np.dtype((np.void, keys.shape[1] * keys.itemsize))).ravel()
