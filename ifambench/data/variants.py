"""The variants of a suite that is read from files: other files of the same ids, or rendered ones.

Each declared variant becomes manifest rows (the originals' with another `variant`, `path`, `fg_id`
and `bg_id`) and pixels. Labels, groups and masks stay those of the original image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ifambench.data.ablation import ablation_pixels
from ifambench.data.files import FilePixels, rows_text
from ifambench.data.manifest import Pixels
from ifambench.data.swap.objects import Objects, find_objects
from ifambench.data.swap.variant import make_swap
from ifambench.data.variant_files import file_variant
from ifambench.data.variant_parts import Made, Place
from ifambench.data.watermark import find_font, watermark_pixels
from ifambench.errors import EnvironmentProblem, unknown_name
from ifambench.suites.spec import ORIGINAL, Suite
from ifambench.suites.variant import AblationVariant, FilesVariant, SwapVariant, WatermarkVariant


@dataclass
class _Work:
    """What the variants of one suite share; objects are looked for once per split."""

    suite: Suite
    rows: pd.DataFrame
    place: Place
    base: FilePixels
    native: Pixels
    objects: dict[str, Objects] = field(default_factory=dict)

    def of(self, split: str) -> Objects:
        """The objects of a split."""
        if split not in self.objects:
            rows = self.rows[self.rows["split"] == split]
            self.objects[split] = find_objects(rows, self.native)
        return self.objects[split]


def make_variants(
    suite: Suite,
    names: Iterable[str],
    rows: pd.DataFrame,
    place: Place,
    base: FilePixels,
    native: Pixels,
) -> list[Made]:
    """The asked variants of the loaded images, in the order asked; the original is left out.

    Args:
        suite: A suite with `[source]`.
        names: Names of variants.
        rows: Manifest rows of the originals, of all loaded splits.
        place: Where files are looked for.
        base: Pixels of the originals, in the geometry of the model.
        native: The same in the geometry of the suite, in which swaps are decided.

    Raises:
        UsageError: If the suite has no such variant.
        EnvironmentProblem: If files are missing, no image can have the variant, or a pairing table
            is not the promised one.
    """
    declared = {item.id: item for item in suite.variant}
    work = _Work(suite, rows, place, base, native)
    made = []
    for name in dict.fromkeys(names):
        if name == ORIGINAL:
            continue
        if name not in declared:
            raise unknown_name("variant", name, declared, list_command=f"ifambench show {suite.id}")
        variant = declared[name]
        here = rows[rows["split"].isin(variant.splits)]
        if len(here):
            found = _MAKERS[type(variant)](work, variant, here)
            made.append(_not_empty(suite, name, found))
    return made


def _files(work: _Work, variant: FilesVariant, rows: pd.DataFrame) -> Made:
    return file_variant(work.suite, variant, rows, work.place, work.base)


def _swap(work: _Work, variant: SwapVariant, rows: pd.DataFrame) -> Made:
    objects = [work.of(split) for split in rows["split"].unique()]
    return make_swap(work.suite, variant, objects, work.place, work.base)


def _ablation(work: _Work, variant: AblationVariant, rows: pd.DataFrame) -> Made:
    with_mask = rows[rows["mask"].ne("")]
    left = len(rows) - len(with_mask)
    note = (f"variant {variant.id}: {left:,} of {len(rows):,} images have no mask",)
    originals = with_mask.set_index("id", drop=False)
    pixels = ablation_pixels(variant, originals, work.base, work.base.cache)
    return _rendered(variant, with_mask, pixels, note if left else ())


def _watermark(work: _Work, variant: WatermarkVariant, rows: pd.DataFrame) -> Made:
    font = find_font(variant.text, work.place.data_dir)
    originals = rows.set_index("id", drop=False)
    pixels = watermark_pixels(variant, originals, work.base, font, work.base.cache)
    own = "" if font is not None else "the watermark is written in Pillow's own font"
    return _rendered(variant, rows, pixels, (f"variant {variant.id}: {own}",) if own else ())


_MAKERS: Mapping[type, Callable[[_Work, Any, pd.DataFrame], Made]] = {
    FilesVariant: _files,
    SwapVariant: _swap,
    AblationVariant: _ablation,
    WatermarkVariant: _watermark,
}


def _rendered(
    variant: AblationVariant | WatermarkVariant,
    rows: pd.DataFrame,
    pixels: Pixels,
    warnings: tuple[str, ...],
) -> Made:
    marked = rows.assign(variant=variant.id).reset_index(drop=True)
    digest = hashlib.sha256(rows_text(marked) + variant.model_dump_json().encode()).hexdigest()
    return Made(variant.id, marked, pixels, digest, warnings)


def _not_empty(suite: Suite, name: str, made: Made) -> Made:
    if not len(made.rows):
        raise EnvironmentProblem(
            f'no image can have the variant "{name}": {"; ".join(made.warnings) or "none there"}',
            where=f"suites/{suite.id}/suite.toml: variant.{name}",
            next_step="choose a protocol without it, or get the masks and images it needs",
        )
    return made
