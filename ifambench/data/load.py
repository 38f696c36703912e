"""A suite file becomes a manifest with pixels behind it, checked against what the file expects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd

from ifambench.data.files import FilePixels, content_digests, rows_fingerprint
from ifambench.data.folders import find_data_folder
from ifambench.data.generated import generate
from ifambench.data.images import View
from ifambench.data.manifest import Pixels, SuiteData, check_counts, check_groups
from ifambench.data.readers import read_rows
from ifambench.data.rendered import VariantPixels
from ifambench.data.subset import draw_subset
from ifambench.data.variant_parts import Made, Place
from ifambench.data.variants import make_variants
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.spec import ORIGINAL, Suite

DEFAULT_SIZE = "default"
AVAILABLE = "available"
_MIN_GENERATED = 200
_MIN_PER_GROUP = 4


def load_data(
    suite: Suite,
    size: str = DEFAULT_SIZE,
    splits: Iterable[str] | None = None,
    progress: Progress | None = None,
    view: View | None = None,
    data_dir: Path | None = None,
    variants: Iterable[str] = (ORIGINAL,),
    on_bad: Literal["error", "skip"] = "error",
) -> SuiteData:
    """Generate the suite's data or find its files; check counts and fingerprints.

    Args:
        suite: The suite file's content.
        size: `default`; the number of training images (of test images, if there are no others),
            the other splits change in proportion; or `available`, whatever images of the suite the
            folder holds: then neither counts nor groups nor fingerprints are checked.
        splits: The splits to load; all declared ones by default.
        progress: Told about each image.
        view: How image files are brought to the model's size; the suite's size by default.
        data_dir: Folder of the suites' folders, or None for the default places.
        variants: Variants that are wanted, of the splits that have them. Generated suites always
            have all of theirs.
        on_bad: Whether an image that cannot be read is an error, or left out and listed.

    Raises:
        UsageError: If `size` is not a number of images the suite can have, if there is no such
            variant, or if generated images are asked for in another size than they have.
        EnvironmentProblem: If files are missing, damaged or not described by their table, if a
            declared group is empty, or if counts or fingerprints differ from what the suite file
            promises.
    """
    chosen = set(suite.splits if splits is None else splits)
    counts = {name: n for name, n in split_sizes(suite, size).items() if name in chosen}
    progress = progress or Progress()
    if suite.source is None:
        return _drawn(suite, size, counts, progress, view)
    place = Place(find_data_folder(suite, data_dir), data_dir, size == DEFAULT_SIZE)
    view, cropped = _whole(suite, view or View(suite.image_size))
    rows = _listed(suite, place.folder, size, counts)
    if on_bad == "error":
        data = _with_variants(suite, rows, place, size, view, variants, progress)
    else:
        data = _without_bad(suite, rows, place, size, view, variants, progress)
    return replace(data, warnings=(*cropped, *data.warnings))


def _whole(suite: Suite, view: View) -> tuple[View, tuple[str, ...]]:
    """The view of a suite whose images are cropped already, and a remark if it is another one."""
    if not suite.whole_images or view.crop_pct == 1.0:
        return view, ()
    note = f"images are shown whole, not their inner {view.crop_pct:g} as the model's input says"
    return replace(view, crop_pct=1.0), (note,)


def check_files(suite: Suite, data_dir: Path | None = None) -> None:
    """Raise an EnvironmentProblem unless the files of a suite are there; reads only the table."""
    if suite.source is not None:
        read_rows(suite, find_data_folder(suite, data_dir))


def _drawn(
    suite: Suite, size: str, counts: Mapping[str, int], progress: Progress, view: View | None
) -> SuiteData:
    if view is not None and view.image_size != suite.image_size:
        raise UsageError(
            f"the images of {suite.id} are drawn with {suite.image_size} pixels, "
            f"the model takes {view.image_size}",
            next_step="choose a model of this size, or a suite that is read from files",
        )
    made = generate(suite, counts, progress)
    _check(suite, made.manifest, size, made.fingerprints)
    return SuiteData(suite, made.manifest, made.pixels, _digest(made.fingerprints), size)


def _listed(suite: Suite, folder: Path, size: str, counts: Mapping[str, int]) -> pd.DataFrame:
    """The rows of the wanted images, checked against the suite file."""
    table = read_rows(suite, folder, partial=size == AVAILABLE)
    rows = table[table["split"].isin(list(counts))].reset_index(drop=True)
    if size == AVAILABLE:
        return rows
    check_groups(suite, rows)
    if size != DEFAULT_SIZE:
        _check_enough(suite, rows, counts)
        rows = draw_subset(rows, counts, suite.groups_in)
    _check(suite, rows, size, {name: rows_fingerprint(part) for name, part in _by_split(rows)})
    return rows


def _check_enough(suite: Suite, rows: pd.DataFrame, counts: Mapping[str, int]) -> None:
    """Refuse a part of a suite that is larger than what is there of it."""
    there = rows["split"].value_counts()
    for name, wanted in counts.items():
        found = int(there.get(name, 0))
        if found < wanted:
            raise EnvironmentProblem(
                f"{wanted} images of the split {name} are asked for, {found} are there",
                where=f"{suite.id}: --size",
                next_step="get the missing images, or take --size available",
            )


def _without_bad(
    suite: Suite,
    rows: pd.DataFrame,
    place: Place,
    size: str,
    view: View,
    variants: Iterable[str],
    progress: Progress,
) -> SuiteData:
    """The data without what cannot be read, which is listed; no group may become empty."""
    from ifambench.data.bad_images import readable_rows, without_bad_variants

    good, bad = readable_rows(place.folder, rows, view, progress, suite.source)
    if bad and size != AVAILABLE:
        check_groups(suite, good)
    place = replace(place, published=place.published and not bad, skip_bad=True)
    data = _with_variants(suite, good, place, size, view, variants, progress)
    return without_bad_variants(replace(data, skipped=bad), progress)


def _with_variants(
    suite: Suite,
    rows: pd.DataFrame,
    place: Place,
    size: str,
    view: View,
    variants: Iterable[str],
    progress: Progress,
) -> SuiteData:
    progress.start("data", len(rows))
    digests = {
        name: content_digests(place.folder, part, progress, suite.source)
        for name, part in _by_split(rows)
    }
    base = FilePixels(place.folder, view, suite.source)
    own = View(suite.image_size)
    native = base if view == own else FilePixels(place.folder, own, suite.source, cache_bytes=0)
    made = make_variants(suite, variants, rows, place, base, native)
    digests |= {f"variant {item.name}": item.digest for item in made}
    return SuiteData(
        suite=suite,
        manifest=pd.concat([rows, *(item.rows for item in made)], ignore_index=True),
        pixels=_pixels(base, made),
        digest=_digest(digests),
        size=size,
        warnings=tuple(dict.fromkeys(text for item in made for text in item.warnings)),
        tables={item.name: item.table for item in made if item.table},
    )


def _pixels(base: FilePixels, made: Iterable[Made]) -> Pixels:
    by_variant: dict[str, Pixels] = {item.name: item.pixels for item in made}
    return VariantPixels({ORIGINAL: base, **by_variant}) if by_variant else base


def _by_split(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), part) for name, part in rows.groupby("split", sort=False)]


def split_sizes(suite: Suite, size: str) -> dict[str, int]:
    """Images per split for a `--size`; 0 where the number is not known in advance.

    Generated suites are drawn with a number that divides into the groups; of suites read from
    files a part can be taken, but no more images than there are.

    Raises:
        UsageError: If the size is neither `default` nor such a number of training images.
    """
    if size == DEFAULT_SIZE or (size == AVAILABLE and suite.source is not None):
        return dict(suite.splits)
    cells = len(suite.groups.names)
    full = suite.splits.get("train", suite.splits["test"])
    number = int(size) if size.isdecimal() and size.isascii() else -1
    if suite.source is None:
        wanted = f"at least {_MIN_GENERATED}, a multiple of {cells}"
        if number < _MIN_GENERATED or number % cells:
            raise _no_size(suite, size, wanted)
        scale = number / full
        return {name: max(1, round(n * scale / cells)) * cells for name, n in suite.splits.items()}
    if not all(suite.splits.values()):
        raise _no_size(suite, size, "not for this suite, whose number of images is not known")
    if full < _MIN_PER_GROUP * cells:
        raise _no_size(suite, size, "not for this suite, which is too small for a part")
    if not _MIN_PER_GROUP * cells <= number <= full:
        raise _no_size(suite, size, f"{_MIN_PER_GROUP * cells} to {full}")
    return {name: max(cells, round(n * number / full)) for name, n in suite.splits.items()}


def _no_size(suite: Suite, size: str, wanted: str) -> UsageError:
    what = "training" if suite.has_training else "test"
    choices = [DEFAULT_SIZE, f"{what} images: {wanted}"]
    choices += [AVAILABLE] if suite.source is not None else []
    return UsageError(f'"{size}" is not a size', where="--size", choices=choices)


def _check(
    suite: Suite, manifest: pd.DataFrame, size: str, fingerprints: Mapping[str, str]
) -> None:
    """Every group has an image; at the default size, counts and fingerprints are as promised."""
    check_groups(suite, manifest)
    if size == DEFAULT_SIZE:
        check_counts(suite, manifest)
        _check_fingerprints(suite, fingerprints)


def _digest(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()


def _check_fingerprints(suite: Suite, found: Mapping[str, str]) -> None:
    kind = "generated" if suite.source is None else "listed"
    section = "generation" if suite.source is None else "source"
    for split, value in found.items():
        promised = suite.origin.fingerprint.get(split)
        if promised is not None and promised != value:
            raise EnvironmentProblem(
                f'the {kind} split "{split}" is not the published one '
                f"(sha256 {value} instead of {promised})",
                where=f"suites/{suite.id}/suite.toml: {section}.fingerprint.{split}",
                next_step="if you changed the suite, give it its own id and this fingerprint; "
                "else report it with the versions that ifambench doctor shows",
            )
