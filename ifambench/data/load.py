"""A suite file becomes a manifest with pixels behind it, checked against what the file expects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from ifambench.data.files import FilePixels, content_digests, rows_fingerprint
from ifambench.data.folders import find_data_folder
from ifambench.data.generated import generate
from ifambench.data.images import View
from ifambench.data.manifest import SuiteData, check_counts, check_groups
from ifambench.data.readers import READERS
from ifambench.data.subset import draw_subset
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.source import Source
from ifambench.suites.spec import Suite

DEFAULT_SIZE = "default"
_MIN_GENERATED = 200
_MIN_PER_GROUP = 4


def load_data(
    suite: Suite,
    size: str = DEFAULT_SIZE,
    splits: Iterable[str] | None = None,
    progress: Progress | None = None,
    view: View | None = None,
    data_dir: Path | None = None,
) -> SuiteData:
    """Generate the suite's data or find its files; check counts and fingerprints.

    Args:
        suite: The suite file's content.
        size: `default`, or the number of training images; the other splits change in proportion.
        splits: The splits to load; all declared ones by default.
        progress: Told about each image.
        view: How image files are brought to the model's size; the suite's size by default.
        data_dir: Folder of the suites' folders, or None for the default places.

    Raises:
        UsageError: If `size` is not a number of images the suite can have, or if generated images
            are asked for in another size than they have.
        EnvironmentProblem: If files are missing, damaged or not described by their table, if a
            declared group is empty, or if counts or fingerprints differ from what the suite file
            promises.
    """
    chosen = set(suite.splits if splits is None else splits)
    counts = {name: n for name, n in split_sizes(suite, size).items() if name in chosen}
    progress = progress or Progress()
    if suite.source is None:
        return _drawn(suite, size, counts, progress, view)
    folder = find_data_folder(suite, data_dir)
    return _from_files(suite, suite.source, folder, size, counts, progress, view)


def check_files(suite: Suite, data_dir: Path | None = None) -> None:
    """Raise an EnvironmentProblem unless the files of a suite are there; reads only the table."""
    if suite.source is not None:
        READERS[suite.source.reader](suite, find_data_folder(suite, data_dir))


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


def _from_files(
    suite: Suite,
    source: Source,
    folder: Path,
    size: str,
    counts: Mapping[str, int],
    progress: Progress,
    view: View | None,
) -> SuiteData:
    table = READERS[source.reader](suite, folder)
    rows = table[table["split"].isin(list(counts))].reset_index(drop=True)
    check_groups(suite, rows)
    if size != DEFAULT_SIZE:
        rows = draw_subset(rows, counts, suite.groups.names)
    parts = {str(name): part for name, part in rows.groupby("split", sort=False)}
    _check(suite, rows, size, {name: rows_fingerprint(part) for name, part in parts.items()})
    progress.start("data", len(rows))
    digests = {name: content_digests(folder, part, progress) for name, part in parts.items()}
    pixels = FilePixels(folder, view or View(suite.image_size), source.mask_threshold)
    return SuiteData(suite, rows, pixels, _digest(digests), size)


def split_sizes(suite: Suite, size: str) -> dict[str, int]:
    """Images per split for a `--size`.

    Generated suites are drawn with a number that divides into the groups; of suites read from
    files a part can be taken, but no more images than there are.

    Raises:
        UsageError: If the size is neither `default` nor such a number of training images.
    """
    if size == DEFAULT_SIZE:
        return dict(suite.splits)
    cells, full = len(suite.groups.names), suite.splits["train"]
    number = int(size) if size.isdecimal() and size.isascii() else -1
    if suite.source is None:
        wanted = f"at least {_MIN_GENERATED}, a multiple of {cells}"
        if number < _MIN_GENERATED or number % cells:
            raise _no_size(size, wanted)
        scale = number / full
        return {name: max(1, round(n * scale / cells)) * cells for name, n in suite.splits.items()}
    if not _MIN_PER_GROUP * cells <= number <= full:
        raise _no_size(size, f"{_MIN_PER_GROUP * cells} to {full}")
    return {name: max(cells, round(n * number / full)) for name, n in suite.splits.items()}


def _no_size(size: str, wanted: str) -> UsageError:
    choices = ["default", f"training images: {wanted}"]
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
