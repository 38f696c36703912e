"""Which background each object gets: a table that is the suite.

The table is drawn among the usable images of one split as it is loaded (so it depends on `--size`),
from `PCG64(seed)`, object by object in the order of the ids sorted as text; nothing else enters, no
order of rows and no number of workers. Values are classes, or those of the attribute of `pair_by`;
the value is drawn first and then the image, so that values are balanced when images are not.

- `mixed_same`: an image of the same value, never the object's own image.
- `mixed_rand`: any value, the own one included, never the own image.
- `mixed_other`: any other value.
- `mixed_next`: the next value, (value + 1) mod number of values.
- `only_bg_b`, `only_bg_t`, `no_fg`: the image itself; with a pool, `only_bg_t` is a photo of the
  pool's category.
- `only_fg`: none.

An object for which there is no such image (a class with one usable image has no `mixed_same`) has
no row; it is listed.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ifambench.data.draws import Draws
from ifambench.data.swap.compose import MIXED
from ifambench.data.swap.shapes import Box
from ifambench.suites.variant import SWAPS, SwapVariant

ANY = -1
"""The value of photos of a pool without categories."""


class Item(NamedTuple):
    """An image to pair."""

    id: str
    value: int
    """Index of what `pair_by` names."""
    label: str = ""
    attributes: str = ""


class Pair(NamedTuple):
    """One line of the table."""

    fg_id: str
    fg_class: str
    variant: str
    seed: int
    bg_id: str
    bg_class: str
    bg_attr: str
    flip: int
    """Always 0: objects are not mirrored."""
    scale: float
    """Always 1: objects keep their size."""
    dx: int
    """Pixels to the right, of an image of the suite's `image_size`."""
    dy: int
    """Pixels down."""


@dataclass(frozen=True)
class Backgrounds:
    """What can lie behind an object.

    Attributes:
        by_value: Value -> items sorted by id; the value `ANY` serves every object.
        values: How many values there are.
    """

    by_value: Mapping[int, Sequence[Item]]
    values: int

    @property
    def has_categories(self) -> bool:
        """Whether "same", "other" and "next" mean anything."""
        return ANY not in self.by_value


def backgrounds(items: Iterable[Item], values: int) -> Backgrounds:
    """Backgrounds by value, sorted by id."""
    found: dict[int, list[Item]] = {}
    for item in sorted(items, key=lambda item: item.id):
        found.setdefault(item.value, []).append(item)
    return Backgrounds(found, values)


def pair(
    variant: SwapVariant,
    objects: Mapping[Item, Box],
    behind: Backgrounds,
    side: int,
) -> tuple[list[Pair], list[str]]:
    """The table of one variant, and the ids of the objects that have no line in it.

    Args:
        variant: Swap, seed and placement.
        objects: Usable images and the boxes of their objects.
        behind: The same images, or photos of a pool.
        side: Height and width of the image in which the boxes lie.
    """
    draws = Draws(variant.seed, SWAPS.index(variant.swap))
    pairs, left = [], []
    for item in sorted(objects, key=lambda item: item.id):
        numbers = draws.uniform(0.0, 1.0, 4)  # always four, so that options do not shift others
        chosen = _background(variant, item, behind, float(numbers[0]), float(numbers[1]))
        if chosen is None:
            left.append(item.id)
            continue
        dx, dy = _move(variant, objects[item], side, float(numbers[2]), float(numbers[3]))
        own = (item.id, item.label, variant.id, variant.seed)
        pairs.append(Pair(*own, chosen.id, chosen.label, chosen.attributes, 0, 1.0, dx, dy))
    return pairs, left


def pairing_text(pairs: Iterable[Pair]) -> str:
    """The table as CSV; its sha256 is the `manifest_sha256` of the variant."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Pair._fields)
    writer.writerows(item._replace(scale=f"{item.scale:g}") for item in pairs)  # type: ignore[arg-type]
    return file.getvalue()


def joined_tables(tables: Iterable[str]) -> str:
    """Several tables in one, under one header."""
    parts = list(tables)
    header = parts[0].partition("\n")[0] + "\n"
    return header + "".join(part.removeprefix(header) for part in parts)


def _background(
    variant: SwapVariant, item: Item, behind: Backgrounds, first: float, second: float
) -> Item | None:
    if variant.swap == "only_fg":
        return Item("", item.value)
    if variant.swap in ("only_bg_b", "no_fg") or (variant.swap == "only_bg_t" and not variant.pool):
        return item
    values = [
        value for value in _values(variant.swap, item, behind) if _choices(behind, value, item)
    ]
    if not values:
        return None
    value = values[int(first * len(values))]
    k = int(second * _choices(behind, value, item))
    gap = _position(behind.by_value[value], item)
    return behind.by_value[value][k if gap is None or k < gap else k + 1]


def _values(swap: str, item: Item, behind: Backgrounds) -> list[int]:
    """Values from which the background may come."""
    if not behind.has_categories:
        return [ANY]
    there = sorted(behind.by_value)
    allowed = {
        "mixed_rand": there,
        "mixed_other": [value for value in there if value != item.value],
        "mixed_next": [(item.value + 1) % behind.values],
    }
    return allowed.get(swap, [item.value])


def _choices(behind: Backgrounds, value: int, item: Item) -> int:
    """How many backgrounds there are of a value, the object's own image left out."""
    items = behind.by_value.get(value, ())
    return len(items) - (_position(items, item) is not None)


def _position(items: Sequence[Item], item: Item) -> int | None:
    """Where an item stands in a list sorted by id, or None."""
    k = bisect_left(items, item.id, key=lambda other: other.id)
    return k if k < len(items) and items[k].id == item.id else None


def _move(variant: SwapVariant, box: Box, side: int, across: float, down: float) -> tuple[int, int]:
    if variant.placement == "keep" or variant.swap not in ("only_fg", *MIXED):
        return 0, 0
    room = side - (box.right - box.left), side - (box.bottom - box.top)
    if variant.placement == "center":
        return room[0] // 2 - box.left, room[1] // 2 - box.top
    return int(across * (room[0] + 1)) - box.left, int(down * (room[1] + 1)) - box.top
