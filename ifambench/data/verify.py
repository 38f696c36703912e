"""Are the images in a folder those that the suite file describes? Everything wrong, by file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from ifambench.data.examine import Examined, examined
from ifambench.data.files import in_threads, rows_fingerprint
from ifambench.data.folders import mask_folder
from ifambench.data.hdf5 import is_hdf5
from ifambench.data.readers import REGISTRY, Item, read_rows
from ifambench.data.variant_files import is_begun, listed_files
from ifambench.data.variant_parts import Place
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.source import PLUGIN
from ifambench.suites.spec import Suite
from ifambench.suites.variant import FilesVariant


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: `list`, `count`, `fingerprint`, `missing`, `unreadable`, `mask`, `variant`,
            `duplicate` or `near duplicate`.
        where: The file, or the split and group.
        detail: What is wrong.
        level: A `note` is worth a look and no error.
    """

    kind: str
    where: str
    detail: str
    level: Literal["error", "note"] = "error"


def verify_suite(
    suite: Suite,
    folder: Path,
    progress: Progress | None = None,
    *,
    fast: bool = False,
    data_dir: Path | None = None,
) -> list[Finding]:
    """Check lists, counts and fingerprints, and unless `fast` decode every image and mask.

    Variants that are files are listed and decoded too; that one is not there at all is a note.

    Near duplicates are images of different splits with the same difference hash: 8 x 8 signs of
    horizontal steps of a 9 x 8 grey picture (Krawetz 2013).

    Args:
        suite: A suite with `[source]`.
        folder: Its folder.
        progress: Told about each image.
        fast: Open no image.
        data_dir: The data folder, where variants may lie beside the suite's folder.

    Returns:
        All findings, in the order of the splits.

    Raises:
        UsageError: If the suite wants a reader that is not installed.
    """
    try:
        rows = read_rows(suite, folder, partial=True)
        missing = list(_missing(suite, folder, rows))
    except EnvironmentProblem as error:
        return [Finding("list", error.where or str(folder), error.what)]
    found = [*_counts(suite, rows), *missing]
    if not missing:
        found += _fingerprints(suite, rows)
    files = _variants(suite, rows, Place(folder, data_dir), found)
    if fast:
        return found
    progress = progress or Progress()
    found += _opened(suite, folder, rows, progress)
    for root, paths in files:
        found += _decoded(root, paths, suite, progress)
    return found


def _missing(suite: Suite, folder: Path, rows: pd.DataFrame) -> Iterator[Finding]:
    """Files that the lists name and the folder lacks."""
    source = suite.source
    assert source is not None
    masks = dict(zip(rows["path"], rows["mask"], strict=True))
    wanted = mask_folder(source, folder) is not None
    items: list[Item] = REGISTRY.entries()[source.reader.removeprefix(PLUGIN)].load()(suite, folder)
    for item in items:
        if item.path not in masks:
            if not (folder / _file(item.path)).exists():
                yield Finding("missing", item.path, f"listed for {item.split}, not there")
        elif wanted and item.mask != "" and not masks[item.path]:
            yield Finding("missing", item.mask or item.path, "its mask is not there")


def _file(path: str) -> str:
    return path.rpartition("#")[0] if is_hdf5(path) else path


def _counts(suite: Suite, rows: pd.DataFrame) -> Iterator[Finding]:
    """Images per split and group against `[splits]` and `[expected]`; 0 images were not known."""
    for split, n in suite.splits.items():
        part = rows[rows["split"] == split]
        if n and len(part) != n:
            yield Finding("count", split, f"{len(part):,} images, expected {n:,}")
        names, counts = suite.groups.names, part["group"].value_counts()
        known = suite.expected[split].groups if split in suite.expected else [-1] * len(names)
        for name, wanted in zip(names, known, strict=True):
            there = int(counts.get(name, 0))
            if there != wanted and (wanted >= 0 or not there):
                detail = f"{there:,} images, expected {'some' if wanted < 0 else f'{wanted:,}'}"
                yield Finding("count", f"{split}, group {name}", detail)


def _fingerprints(suite: Suite, rows: pd.DataFrame) -> Iterator[Finding]:
    """Ids, file names, labels and attributes in sorted order, against `[source.fingerprint]`."""
    for split, promised in suite.origin.fingerprint.items():
        value = rows_fingerprint(rows[rows["split"] == split].reset_index(drop=True))
        if value != promised:
            yield Finding("fingerprint", split, f"sha256 of the list is {value}, not {promised}")


def _variants(
    suite: Suite, rows: pd.DataFrame, place: Place, found: list[Finding]
) -> list[tuple[Path, list[str]]]:
    """Folder and images of each variant that is files; what they lack is added to the findings."""
    files = []
    for variant in suite.variant:
        here = rows[rows["split"].isin(variant.splits)]
        if not isinstance(variant, FilesVariant) or here.empty:
            continue
        try:
            root, listed = listed_files(suite, variant, here, place)
        except EnvironmentProblem as error:
            level: Literal["error", "note"] = "error" if is_begun(variant, place) else "note"
            found.append(Finding("variant", variant.id, error.what, level))
            continue
        files.append((root, list(listed["path"])))
    return files


def _decoded(root: Path, paths: list[str], suite: Suite, progress: Progress) -> Iterator[Finding]:
    """What is wrong within the files of a variant."""
    progress.start("verify", len(paths))
    assert suite.source is not None
    source = suite.source
    for item in in_threads(lambda path: examined(root, path, "", source), paths):
        progress.advance()
        yield from (Finding(*problem) for problem in item.problems)


def _opened(suite: Suite, folder: Path, rows: pd.DataFrame, progress: Progress) -> list[Finding]:
    """What is wrong within the files, then what lies in two splits."""
    progress.start("verify", len(rows))
    assert suite.source is not None
    source = suite.source
    pairs = list(zip(rows["path"], rows["mask"], strict=True))
    found, images = [], []
    for item in in_threads(lambda pair: examined(folder, *pair, source), pairs):
        progress.advance()
        images.append(item)
        found += [Finding(*problem) for problem in item.problems]
    splits = list(rows["split"])
    return [*found, *_duplicates(splits, images)]


def _duplicates(splits: list[str], images: list[Examined]) -> Iterator[Finding]:
    """Images that are in two splits: the same bytes, or for a note the same difference hash."""
    exact: dict[str, tuple[str, str]] = {}
    alike: dict[int, tuple[str, str, str]] = {}
    for split, image in zip(splits, images, strict=True):
        if not image.digest:
            continue
        before = exact.setdefault(image.digest, (split, image.path))
        if before[0] != split:
            detail = f"in {split}, the same file as {before[1]} in {before[0]}"
            yield Finding("duplicate", image.path, detail)
            continue
        if image.look is None:
            continue
        like = alike.setdefault(image.look, (split, image.path, image.digest))
        if like[0] != split and like[2] != image.digest:
            detail = f"in {split}, looks like {like[1]} in {like[0]}"
            yield Finding("near duplicate", image.path, detail, "note")
