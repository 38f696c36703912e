"""`[[variant]] kind = "background_swap"`: pairing tables, rows and pixels of one variant."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from ifambench.data.files import FilePixels, file_digest, rows_text
from ifambench.data.images import View
from ifambench.data.manifest import Pixels
from ifambench.data.swap.compose import MIXED
from ifambench.data.swap.objects import Objects, paired_values
from ifambench.data.swap.pairing import Pair, backgrounds, pair, pairing_text
from ifambench.data.swap.pixels import SwapPixels
from ifambench.data.swap.pools import FoundPool, find_pool, pool_path
from ifambench.data.variant_parts import Made, Place
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.spec import Suite
from ifambench.suites.variant import SwapVariant

BY_VALUE = tuple(name for name in MIXED if name != "mixed_rand")
"""Swaps for which backgrounds must have values."""
_SHOWN = 5


def make_swap(
    suite: Suite,
    variant: SwapVariant,
    objects: Sequence[Objects],
    place: Place,
    base: Pixels,
    pool: FoundPool | None = None,
) -> Made:
    """Rows, pixels and pairing table of a variant.

    Args:
        suite: Gives labels, attributes and the geometry of the pairing.
        variant: The section of the suite file.
        objects: The usable objects of each split; backgrounds are of the same split.
        place: Where pools are looked for.
        base: Pixels of the originals, in the geometry of the model.
        pool: The photos of the variant's pool; by default those that the suite file names.

    Raises:
        UsageError: If the pool has no categories and the swap needs them.
        EnvironmentProblem: If the pool is not there, or if the table is not the promised one.
    """
    found = _checked(suite, variant, pool or _pool(suite, variant, place))
    pairs, left = _pairs(suite, variant, objects, found)
    text = pairing_text(pairs)
    _check_table(suite, variant, text, place)
    originals = pd.concat([part.rows for part in objects])
    rows = swapped_rows(variant, originals, pairs)
    view = base.view if isinstance(base, FilePixels) else View(suite.image_size)
    cache = base.cache if isinstance(base, FilePixels) else None
    pixels = SwapPixels(
        variant,
        {item.fg_id: item for item in pairs},
        originals,
        base,
        suite.image_size,
        None if found is None else FilePixels(found.folder, view, cache=cache),
        cache,
    )
    digest = _digest(variant, rows, text, found, pairs)
    return Made(variant.id, rows, pixels, digest, _warnings(variant, objects, left), text)


def swapped_rows(
    variant: SwapVariant, originals: pd.DataFrame, pairs: Sequence[Pair]
) -> pd.DataFrame:
    """Manifest rows of a variant, in the order of the originals."""
    by_id = {item.fg_id: item for item in pairs}
    rows = originals[originals["id"].isin(by_id)].reset_index(drop=True)
    behind = [by_id[name].bg_id for name in rows["id"]]
    return rows.assign(variant=variant.id, fg_id=rows["id"], bg_id=behind)


def _pool(suite: Suite, variant: SwapVariant, place: Place) -> FoundPool | None:
    if variant.pool is None:
        return None
    section = next(item for item in suite.pool if item.name == variant.pool)
    other = [name for name in variant.splits if section.splits and name not in section.splits]
    if other:
        raise UsageError(
            f"pool {section.name} is not for split {other[0]}",
            where=f"suites/{suite.id}/suite.toml: variant.{variant.id}",
            choices=section.splits,
        )
    _, values = paired_values(suite, variant.pair_by)
    return find_pool(section, place.roots(), variant.pair_by, values)


def _checked(suite: Suite, variant: SwapVariant, pool: FoundPool | None) -> FoundPool | None:
    """The pool, which has categories if the swap needs them."""
    if pool is not None and variant.swap in BY_VALUE and not pool.behind.has_categories:
        values = paired_values(suite, variant.pair_by)[1]
        raise UsageError(
            f"{variant.swap} needs the categories of its pool",
            where=f"suites/{suite.id}/suite.toml: variant.{variant.id}",
            next_step=f"give the pool a folder for each of {', '.join(values)}, or use mixed_rand",
        )
    return pool


def _pairs(
    suite: Suite, variant: SwapVariant, objects: Sequence[Objects], pool: FoundPool | None
) -> tuple[list[Pair], list[str]]:
    """The tables of all splits after each other, and the ids without a line."""
    values = len(paired_values(suite, variant.pair_by)[1])
    pairs, left = [], []
    for part in objects:
        items = part.items(suite, variant.pair_by, filtered=variant.quality_filter)
        behind = backgrounds(items, values) if pool is None else pool.behind
        found, without = pair(variant, items, behind, suite.image_size)
        pairs += found
        left += without
    return pairs, left


def _check_table(suite: Suite, variant: SwapVariant, text: str, place: Place) -> None:
    found = hashlib.sha256(text.encode()).hexdigest()
    if place.published and variant.manifest_sha256 not in (None, found):
        raise EnvironmentProblem(
            f"the pairing table of {variant.id} is not the published one (sha256 {found} instead "
            f"of {variant.manifest_sha256})",
            where=f"suites/{suite.id}/suite.toml: variant.{variant.id}.manifest_sha256",
            next_step="images, masks or the pool are others than those of the suite's author",
        )


def _digest(
    variant: SwapVariant,
    rows: pd.DataFrame,
    text: str,
    pool: FoundPool | None,
    pairs: Sequence[Pair],
) -> str:
    settings = variant.model_dump_json(exclude={"quality_filter"})  # the rows tell it
    found = hashlib.sha256(rows_text(rows) + text.encode() + settings.encode())
    if pool is not None:
        photos = {item.id for items in pool.behind.by_value.values() for item in items}
        for name in sorted(photos & {item.bg_id for item in pairs}):
            found.update(file_digest(pool.folder / pool_path(name)))
    return found.hexdigest()


def _warnings(
    variant: SwapVariant, objects: Sequence[Objects], left: Sequence[str]
) -> tuple[str, ...]:
    """What has no swap: by quality, and for want of a background."""
    found = [
        f"no background swap of {described}"
        for part in objects
        if (described := part.quality.described(filtered=variant.quality_filter))
    ]
    if left:
        named = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        found.append(f"variant {variant.id}: no background for {len(left):,} objects: {named}")
    return tuple(found)
