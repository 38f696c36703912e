"""`[[variant]] kind = "files"`: other files for the same images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.bad_images import readable_rows
from ifambench.data.files import FilePixels, content_digests
from ifambench.data.folders import first_folder
from ifambench.data.manifest import Pixels
from ifambench.data.readers.patterns import Shape, match_files
from ifambench.data.variant_parts import Made, Place
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.spec import Suite
from ifambench.suites.variant import FilesVariant

_SHOWN = 3


class _OtherFiles:
    """Images of one folder, masks of the originals."""

    def __init__(self, files: FilePixels, base: Pixels) -> None:
        self._files, self._base = files, base

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        """The images of the manifest rows."""
        return self._files.images(rows)

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The masks of the originals."""
        return self._base.masks(rows)


def file_variant(
    suite: Suite, variant: FilesVariant, rows: pd.DataFrame, place: Place, base: FilePixels
) -> Made:
    """Rows and pixels of a variant whose images are files.

    Args:
        suite: A suite with `[source]`.
        variant: The section of the suite file.
        rows: Manifest rows of the originals.
        place: Where the files are looked for.
        base: Pixels of the originals.

    Raises:
        EnvironmentProblem: If files are missing and the variant is not declared a subset.
    """
    root, found = listed_files(suite, variant, rows, place)
    marked = found.assign(variant=variant.id).reset_index(drop=True)
    alone = marked.assign(mask="")  # masks are digested with the originals
    if place.skip_bad:
        alone, _ = readable_rows(root, alone, base.view, Progress())
    digest = content_digests(root, alone, Progress())
    files = FilePixels(root, base.view, base.source, cache=base.cache)
    return Made(variant.id, marked, _OtherFiles(files, base), digest, _note(variant, marked, rows))


def listed_files(
    suite: Suite, variant: FilesVariant, rows: pd.DataFrame, place: Place
) -> tuple[Path, pd.DataFrame]:
    """The folder of a variant, and the rows with their paths in it; no file is opened.

    Raises:
        EnvironmentProblem: If files are missing and the variant is not declared a subset.
    """
    root = _root(variant, place)
    by = _by_place if variant.path is None else _by_pattern
    return root, by(suite, variant, rows, root)


def is_begun(variant: FilesVariant, place: Place) -> bool:
    """Whether some of the variant's files may be there: its folder is."""
    below = variant.images if variant.path is None else Shape(variant.path, {}).fixed
    roots = [root / name for root in place.roots() for name in variant.folders] or [place.folder]
    return any((root / str(below)).is_dir() for root in roots)


def _root(variant: FilesVariant, place: Place) -> Path:
    """The folder that the variant's paths are relative to."""
    if not variant.folders:
        return place.folder
    return first_folder(
        [root / name for root in place.roots() for name in variant.folders],
        f'the images of variant "{variant.id}"',
        "get them, or choose a protocol without this variant",
    )


def _by_place(suite: Suite, variant: FilesVariant, rows: pd.DataFrame, root: Path) -> pd.DataFrame:
    """The same relative paths in another folder."""
    assert suite.source is not None
    below = PurePosixPath(suite.source.images)
    other = PurePosixPath(str(variant.images))
    paths = [str(other / PurePosixPath(path).relative_to(below)) for path in rows["path"]]
    there = [(root / path).is_file() for path in paths]
    if not all(there) and not variant.subset:
        raise _missing(variant, [p for p, ok in zip(paths, there, strict=True) if not ok], root)
    return rows.assign(path=paths)[there]


def _by_pattern(
    suite: Suite, variant: FilesVariant, rows: pd.DataFrame, root: Path
) -> pd.DataFrame:
    """Files whose paths have a pattern; paired by id, or with ids of their own."""
    files = match_files(suite, root, str(variant.path))
    if not variant.aligned:
        return _on_their_own(suite, variant, rows, files)
    paths = dict(zip(files["id"], files["path"], strict=True))
    there = rows["id"].isin(paths)
    if not there.all() and not variant.subset:
        raise _missing(variant, list(rows.loc[~there, "id"]), root)
    return rows[there].assign(path=rows.loc[there, "id"].map(paths))


def _on_their_own(
    suite: Suite, variant: FilesVariant, rows: pd.DataFrame, files: pd.DataFrame
) -> pd.DataFrame:
    """Rows of images that are no altered originals: no masks, ids that no original has."""
    attributes = {f"a_{name}": files[f"a_{name}"] for name in suite.attributes}
    needed = {"y": files["label"]} | {name.removeprefix("a_"): c for name, c in attributes.items()}
    untold = [name for name, column in needed.items() if (column == "").any()]
    if untold:
        raise UsageError(
            f'the pattern "{variant.path}" does not tell {untold[0]}',
            where=f"suites/{suite.id}/suite.toml: variant.{variant.id}.path",
            next_step=f"add the field {{{untold[0]}}}, images without originals need it",
        )
    cells = [dict(zip(needed, cell, strict=True)) for cell in zip(*needed.values(), strict=True)]
    found = pd.DataFrame(
        {
            "id": [f"{variant.id}/{name}" for name in files["id"]],
            "path": files["path"],
            "split": files["split"].where(files["split"] != "", variant.splits[0]),
            "y": [suite.labels.index(cell["y"]) for cell in cells],
            "group": [suite.group_of(cell["y"], cell) for cell in cells],
            **attributes,
            **dict.fromkeys(("mask", "fg_id", "bg_id"), ""),
        }
    )
    return found[found["split"].isin(rows["split"].unique())]


def _missing(variant: FilesVariant, paths: Sequence[str], root: Path) -> EnvironmentProblem:
    named = ", ".join(paths[:_SHOWN]) + (", ..." if len(paths) > _SHOWN else "")
    return EnvironmentProblem(
        f'{len(paths):,} images of variant "{variant.id}" are missing: {named}',
        where=str(root),
        next_step="get them, or choose a protocol without this variant",
    )


def _note(variant: FilesVariant, found: pd.DataFrame, rows: pd.DataFrame) -> tuple[str, ...]:
    if len(found) == len(rows) or not variant.aligned:
        return ()
    return (f"variant {variant.id}: {len(found):,} images, the original has {len(rows):,}",)
