"""A background-swap suite in a folder: images, masks, variants, pairing table and suite file.

Any suite with masks can be built from, also those that are drawn from a seed. All pictures are PNG
in the geometry of the suite (the centre crop of `image_size` pixels), so nothing is lost when they
are written; a model of another size resizes them again, originals and variants alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ifambench.data.images import View
from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.data.new_folder import new_folder
from ifambench.data.swap.build_suite import built_suite
from ifambench.data.swap.objects import Objects, find_objects, paired_values
from ifambench.data.swap.pairing import joined_tables
from ifambench.data.swap.pools import FoundPool, find_pool
from ifambench.data.swap.variant import BY_VALUE, make_swap
from ifambench.data.swap.write import Written, write_images, write_tables
from ifambench.data.variant_parts import Made, Place
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.spec import ORIGINAL, Suite
from ifambench.suites.variant import SWAPS, Pool, SwapVariant

_POOL = "pool"


@dataclass(frozen=True)
class SwapBuild:
    """What is to be built.

    Attributes:
        suite: With masks.
        out: The new folder.
        swaps: Names of swaps; by default all that are possible.
        split: Whose images are swapped.
        only_split: Leave out the other splits; then the new suite cannot be trained on.
        pool: Folder of other backgrounds, with a folder per value of `pair_by` or with photos.
        data_dir: Folder of the suites' folders.
        size: Of the suite, as for `load_data`.
        style: Further fields of `SwapVariant`: fill, pair_by, seed, feather_px, ...
    """

    suite: Suite
    out: Path
    swaps: Sequence[str] = ()
    split: str = "test"
    only_split: bool = False
    pool: Path | None = None
    data_dir: Path | None = None
    size: str = "default"
    style: dict[str, object] = field(default_factory=dict)


def build_swap(asked: SwapBuild, progress: Progress) -> Written:
    """Write a background-swap suite.

    Raises:
        UsageError: If the folder is there already, or the suite has no such split or swap.
        EnvironmentProblem: If images, masks or the pool are missing, or the disk is full.
    """
    _check(asked)
    pool = _pool(asked)
    with new_folder(asked.out) as folder:
        data = _loaded(asked, progress)
        rows = _with_masks(data)
        objects = find_objects(rows[rows["split"] == asked.split], data.pixels)
        made = _variants(asked, data, objects, pool)
        _refuse_none(asked, objects, made)
        names = write_images(folder, rows, data.pixels, made, progress)
        table = joined_tables(item.table for item in made)
        content = built_suite(asked.suite, asked.out.name, rows, asked.split, made, table)
        write_tables(folder, rows, names, table, content)
    left = len(_originals(data)) - len(rows)
    warnings = [f"left out: {left:,} images without a mask"] if left else []
    warnings += dict.fromkeys(text for item in made for text in item.warnings)
    return Written(asked.out, content, rows, tuple(made), table, tuple(warnings))


def _check(asked: SwapBuild) -> None:
    suite = asked.suite
    if asked.split not in suite.splits:
        raise UsageError(
            f'{suite.id} has no split "{asked.split}"', where="--split", choices=list(suite.splits)
        )
    unknown = [name for name in asked.swaps if name not in SWAPS]
    if unknown:
        raise UsageError(f'"{unknown[0]}" is no swap', where="--variants", choices=list(SWAPS))
    pair_by = str(asked.style.get("pair_by", "y"))
    name = pair_by.removeprefix("attribute:")
    if pair_by != "y" and (name == pair_by or name not in suite.attributes):
        choices = ["y", *(f"attribute:{name}" for name in suite.attributes)]
        raise UsageError(f'cannot pair by "{pair_by}"', where="--pair-by", choices=choices)


def _pool(asked: SwapBuild) -> FoundPool | None:
    """The photos of `--pool`: with categories if there is a folder for each value."""
    if asked.pool is None:
        return None
    pair_by = str(asked.style.get("pair_by", "y"))
    values = paired_values(asked.suite, pair_by)[1]
    there = [name for name in values if (asked.pool / name).is_dir()]
    if there and len(there) < len(values):
        missing = next(name for name in values if name not in there)
        raise UsageError(
            f'the pool has a folder "{there[0]}", but none for "{missing}"', where=str(asked.pool)
        )
    pool = Pool(name=_POOL, folders=[""], categories={name: name for name in there})
    return find_pool(pool, [asked.pool], pair_by, values)


def _loaded(asked: SwapBuild, progress: Progress) -> SuiteData:
    splits = [asked.split] if asked.only_split else None
    drawn = asked.suite.source is None
    view = None if drawn else View(asked.suite.image_size)
    return load_data(asked.suite, asked.size, splits, progress, view, asked.data_dir)


def _originals(data: SuiteData) -> pd.DataFrame:
    return data.manifest[data.manifest["variant"] == ORIGINAL]


def _with_masks(data: SuiteData) -> pd.DataFrame:
    rows = _originals(data)
    rows = rows[rows["mask"].ne("")].reset_index(drop=True)
    if rows.empty:
        raise EnvironmentProblem(
            f"{data.suite.id} has no masks, so its objects cannot be cut out",
            next_step="choose a suite with masks (ifambench list suites)",
        )
    return rows


def _refuse_none(asked: SwapBuild, objects: Objects, made: Sequence[Made]) -> None:
    if not made:
        reason = objects.quality.described() or "no object has a background"
        raise EnvironmentProblem(
            f"no image of {asked.suite.id} can have a background swap: {reason}",
            where=f"--split {asked.split}",
            next_step="take another split, more images (--size), or other masks",
        )


def _variants(
    asked: SwapBuild, data: SuiteData, objects: Objects, pool: FoundPool | None
) -> list[Made]:
    uncategorised = pool is not None and not pool.behind.has_categories
    possible = [name for name in SWAPS if not (uncategorised and name in BY_VALUE)]
    found = []
    for name in asked.swaps or possible:
        style = dict(asked.style)
        if pool is not None:
            style |= {"fill": "external", "pool": _POOL}
        section = {"id": name, "kind": "background_swap", "swap": name, "splits": [asked.split]}
        variant = SwapVariant.model_validate(section | style)
        place = Place(asked.out)
        found.append(make_swap(asked.suite, variant, [objects], place, data.pixels, pool))
    return [item for item in found if len(item.rows)]
