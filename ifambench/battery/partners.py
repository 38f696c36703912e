"""The other image that a test takes something from: its pixels, background, texture or mask.

Drawn for each image by its id and the seed, among the ids of the tested images in sorted order:
which images are tested matters, their order and the batches do not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import pandas as pd

from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash


class Partners:
    """Who an image is paired with; never with itself.

    - `other`: any other image;
    - `same`: another image of its class;
    - `rand`: an image of another class; the class is drawn first;
    - `any_class`: any image, the class (also the own one) drawn first.

    Args:
        rows: Manifest rows of the images that may be drawn.
        seed: Of the draw.
    """

    def __init__(self, rows: pd.DataFrame, seed: int) -> None:
        self._seed = seed
        self._every = sorted(rows["id"])
        by_class = rows.groupby("y", sort=True)["id"]
        self._by_class = {int(str(y)): sorted(ids) for y, ids in by_class}

    def of(self, kind: str, name: str, y: int) -> str | None:
        """The id of the partner, or None if there is no such image."""
        draws = Draws(stable_hash("battery", kind, name), self._seed)
        if kind == "other":
            return _another(self._every, name, draws)
        if kind == "same":
            return _another(self._by_class.get(y, []), name, draws)
        able = [other for other in self._by_class if self._can_be(other, y, kind)]
        if not able:
            return None
        return _another(self._by_class[able[draws.integer(len(able))]], name, draws)

    def _can_be(self, other: int, y: int, kind: str) -> bool:
        """Whether a class has an image for one of class y."""
        return len(self._by_class[other]) > 1 if other == y and kind == "any_class" else other != y


def _another(ids: Sequence[str], name: str, draws: Draws) -> str | None:
    """One of the sorted ids, but not `name`."""
    place = bisect_left(ids, name)
    inside = place < len(ids) and ids[place] == name
    n = len(ids) - inside
    if not n:
        return None
    chosen = draws.integer(n)
    return ids[chosen + (inside and chosen >= place)]
