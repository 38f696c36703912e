"""Variants whose images are made from the originals when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.files import ByteCache, in_threads
from ifambench.data.manifest import Pixels

Image = NDArray[np.uint8]


class Rendered:
    """The images of one variant; a subclass says how they are made.

    An image depends on nothing but its id: not on the batch, the order or the number of threads.

    Args:
        variant: Name of the variant.
        originals: Manifest rows of the originals, indexed by id.
        base: Their pixels.
        render: Id -> image, (size, size, 3).
        cache: Keeps images up to its bound, or None.
    """

    def __init__(
        self,
        variant: str,
        originals: pd.DataFrame,
        base: Pixels,
        render: Callable[[str], Image],
        cache: ByteCache | None = None,
    ) -> None:
        self.originals = originals
        self.base = base
        self._variant = variant
        self._render = render
        self._cache = cache or ByteCache(0)

    def images(self, rows: pd.DataFrame) -> Image:
        """The images of manifest rows of this variant, (N, size, size, 3)."""
        if not len(rows):
            return self.base.images(rows)
        return np.stack(list(in_threads(self._kept, list(rows["id"]))))

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The masks of the originals, (N, size, size)."""
        return self.base.masks(self.originals.loc[list(rows["id"])])

    def _kept(self, name: str) -> Image:
        key = ("rendered", self._variant, name)
        found = self._cache.get(key)
        if found is None:
            found = self._render(name)
            self._cache.put(key, found)
        return found


def original(originals: pd.DataFrame, base: Pixels, name: str) -> tuple[Image, NDArray[np.bool_]]:
    """Image and mask of one original.

    Args:
        originals: Manifest rows indexed by id.
        base: Their pixels.
        name: The id.
    """
    row = originals.loc[[name]]
    return base.images(row)[0], base.masks(row)[0]


class VariantPixels:
    """The pixels of a manifest with several variants: each row goes to those of its variant.

    Args:
        by_variant: Variant -> pixels; all of one size.
    """

    def __init__(self, by_variant: Mapping[str, Pixels]) -> None:
        self._by_variant = by_variant

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        """The images of the manifest rows, (N, size, size, 3) RGB."""
        return self._each("images", rows)

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The true foreground masks of the manifest rows, (N, size, size)."""
        return self._each("masks", rows)

    def _each(self, what: str, rows: pd.DataFrame) -> NDArray[Any]:
        names = rows["variant"].unique()
        if len(names) == 1:
            found: NDArray[Any] = getattr(self._by_variant[names[0]], what)(rows)
            return found
        if not len(names):
            empty: NDArray[Any] = getattr(self._by_variant["original"], what)(rows)
            return empty
        variants = rows["variant"].to_numpy()
        parts = {name: np.flatnonzero(variants == name) for name in names}
        stacks = {
            name: getattr(self._by_variant[name], what)(rows.iloc[at]) for name, at in parts.items()
        }
        first = next(iter(stacks.values()))
        found = np.empty((len(rows), *first.shape[1:]), first.dtype)
        for name, at in parts.items():
            found[at] = stacks[name]
        return found
