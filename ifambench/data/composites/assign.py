"""Which object is put on which kind of place, and on which photo.

In training a chosen share of each class is on its own kind of place (class 0 on place 0), in the
other splits half of it. Everything is drawn from `PCG64(seed)` over sorted ids and sorted photos.
"""

from __future__ import annotations

from collections.abc import Sequence

from ifambench.data.composites.objects import SPLITS, Object
from ifambench.data.draws import Draws
from ifambench.errors import EnvironmentProblem

_PLACES, _PHOTOS = 18, 19
"""Purposes of random numbers."""


def assign_places(items: Sequence[Object], correlation: float, seed: int) -> list[int]:
    """The place, 0 or 1, of each object; `round(share * n)` of each class and split are on 1.

    Args:
        items: Sorted objects.
        correlation: Share of each class that is on its own kind of place, in training.
        seed: Of the draw.
    """
    places = [0] * len(items)
    for split in SPLITS:
        for y in (0, 1):
            cell = [k for k, item in enumerate(items) if (item.split, item.y) == (split, y)]
            own = correlation if split == "train" else 0.5
            share = own if y == 1 else 1 - own
            order = Draws(seed, _PLACES, SPLITS.index(split), y).permutation(len(cell))
            for k in order[: round(share * len(cell))]:
                places[cell[k]] = 1
    return places


def assign_photos(
    items: Sequence[Object],
    places: Sequence[int],
    photos: Sequence[Sequence[str]],
    seed: int,
    *,
    reuse: bool = False,
) -> list[str]:
    """The photo of each object: every photo once, or with `reuse` in one split only.

    Args:
        items: Sorted objects.
        places: The place of each.
        photos: For each place, its photos, sorted.
        seed: Of the order of the photos.
        reuse: Whether a photo may stand behind several objects when there are too few.

    Raises:
        EnvironmentProblem: If there are too few photos.
    """
    chosen = [""] * len(items)
    for place, names in enumerate(photos):
        order = [names[k] for k in Draws(seed, _PHOTOS, place).permutation(len(names))]
        wanted = {
            split: [k for k, item in enumerate(items) if (item.split, places[k]) == (split, place)]
            for split in SPLITS
        }
        shares = _shares([len(cell) for cell in wanted.values()], len(order), place, reuse=reuse)
        start = 0
        for cell, n in zip(wanted.values(), shares, strict=True):
            for position, k in enumerate(cell):
                chosen[k] = order[start + position % n]
            start += n
    return chosen


def _shares(needs: Sequence[int], photos: int, place: int, *, reuse: bool) -> list[int]:
    """How many photos each split gets."""
    total = sum(needs)
    if total <= photos:
        return list(needs)
    if not reuse or photos < len(needs):
        raise EnvironmentProblem(
            f"{photos:,} photos of place {place} are too few for {total:,} objects",
            where="--places",
            next_step="add photos, or let objects share them (--reuse-places)",
        )
    return [min(need, max(1, photos * need // total - 1)) for need in needs]
