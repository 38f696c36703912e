"""Images that cannot be read, found before any work starts: `--skip-bad-images`.

Every image is decoded once, and its mask if it has one: the header of a truncated file looks whole.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.files import FilePixels, in_threads
from ifambench.data.hdf5 import is_hdf5
from ifambench.data.images import View
from ifambench.data.manifest import Pixels, SuiteData
from ifambench.data.masks import RLE
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.source import Source

_FILES = ("path", "mask")


def readable_rows(
    folder: Path, rows: pd.DataFrame, view: View, progress: Progress, source: Source | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows whose images can be read, index reset, and the paths of the others.

    Args:
        folder: What the paths of the rows are relative to.
        rows: Manifest rows.
        view: How images are read.
        progress: Told about each image.
        source: How masks are read; None: they are not looked at.

    Raises:
        EnvironmentProblem: If a file is missing, which is no damage.
    """
    pixels = FilePixels(folder, view, source, cache_bytes=0)
    good = _readable(pixels, rows, progress, folder, masks=source is not None)
    return rows[good].reset_index(drop=True), tuple(rows.loc[~good, "path"])


def without_bad_variants(data: SuiteData, progress: Progress) -> SuiteData:
    """The data without the variants whose pixels cannot be made; the originals are readable."""
    altered = data.manifest["variant"].ne("original").to_numpy()
    good = np.ones(len(altered), dtype=bool)
    good[altered] = _readable(data.pixels, data.manifest[altered], progress)
    paths = data.manifest["variant"] + "/" + data.manifest["path"]
    return replace(
        data,
        manifest=data.manifest[good].reset_index(drop=True),
        skipped=(*data.skipped, *paths[~good]),
    )


def _readable(
    pixels: Pixels,
    rows: pd.DataFrame,
    progress: Progress,
    root: Path | None = None,
    masks: bool = False,
) -> NDArray[np.bool_]:
    """Which rows can be read, (N,) bool; with a root, a file that is missing there is an error."""
    progress.start("check images", len(rows))
    found = np.ones(len(rows), dtype=bool)
    check = partial(_is_readable, pixels, rows, root, masks)
    for place, good in enumerate(in_threads(check, range(len(rows)))):
        found[place] = good
        progress.advance()
    return found


def _is_readable(
    pixels: Pixels, rows: pd.DataFrame, root: Path | None, masks: bool, place: int
) -> bool:
    row = rows.iloc[[place]]
    try:
        pixels.images(row)
        if masks and row["mask"].iloc[0]:
            pixels.masks(row)
    except EnvironmentProblem:
        if root is not None and not all(_is_there(root, str(row[k].iloc[0])) for k in _FILES):
            raise
        return False
    return True


def _is_there(root: Path, name: str) -> bool:
    """Whether the file of an entry is there; run lengths have none."""
    if not name or name.startswith(RLE):
        return True
    return (root / (name.rpartition("#")[0] if is_hdf5(name) else name)).is_file()
