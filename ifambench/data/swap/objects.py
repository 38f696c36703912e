"""The objects of a split: which images can be swapped, and where their objects are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ifambench.data.manifest import Pixels
from ifambench.data.swap.pairing import Item
from ifambench.data.swap.quality import Quality, examine
from ifambench.data.swap.shapes import Box, Mask, bounding_box
from ifambench.suites.spec import Suite

_CHUNK = 256


@dataclass(frozen=True)
class Objects:
    """The objects among some images.

    Attributes:
        rows: Manifest rows of all images, original, indexed by id.
        boxes: Id -> box of the object, in the geometry of the suite.
        quality: Which of them are usable, and what the others fail.
    """

    rows: pd.DataFrame
    boxes: Mapping[str, Box]
    quality: Quality

    def items(self, suite: Suite, pair_by: str, *, filtered: bool = True) -> dict[Item, Box]:
        """Objects with the value that `pair_by` names; without a filter also unusable ones."""
        column, names = paired_values(suite, pair_by)
        chosen = [name for name in self.boxes if not filtered or name in self.quality.usable]
        usable = self.rows.loc[chosen]
        attributes = [f"a_{name}" for name in suite.attributes]
        texts = zip(*(usable[name] for name in attributes), strict=True) if attributes else ()
        joined = ["/".join(cells) for cells in texts] or [""] * len(usable)
        rows = zip(usable["id"], usable[column], usable["y"], joined, strict=True)
        return {
            Item(name, _index(value, names), suite.labels[y], text): self.boxes[name]
            for name, value, y, text in rows
        }


def paired_values(suite: Suite, pair_by: str) -> tuple[str, list[str]]:
    """The manifest column and the names of the values of `pair_by` (`y` or `attribute:NAME`)."""
    name = pair_by.partition(":")[2]
    return (f"a_{name}", suite.values_of(name)) if name else ("y", suite.labels)


def find_objects(rows: pd.DataFrame, pixels: Pixels) -> Objects:
    """Read all masks and sort the images.

    Args:
        rows: Manifest rows of one split, original.
        pixels: In the geometry of the suite.
    """
    boxes: dict[str, Box] = {}
    masks: list[tuple[str, Mask | None]] = [(name, None) for name in rows.loc[~_masked(rows), "id"]]
    outcomes = [examine(masks)]
    with_mask = rows[_masked(rows)]
    for start in range(0, len(with_mask), _CHUNK):
        part = with_mask.iloc[start : start + _CHUNK]
        found = dict(zip(part["id"], pixels.masks(part), strict=True))
        outcomes.append(examine(found.items()))
        boxes |= {name: bounding_box(mask) for name, mask in found.items() if mask.any()}
    return Objects(rows.set_index("id", drop=False), boxes, _merged(outcomes))


def _masked(rows: pd.DataFrame) -> pd.Series:
    return rows["mask"].ne("")


def _merged(parts: list[Quality]) -> Quality:
    reasons = parts[0].failed
    failed = {name: tuple(i for part in parts for i in part.failed[name]) for name in reasons}
    return Quality(frozenset().union(*(part.usable for part in parts)), failed)


def _index(value: int | str, names: list[str]) -> int:
    return names.index(value) if isinstance(value, str) else int(value)
