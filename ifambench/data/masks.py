"""True foreground masks in all the forms in which suites have them, in the geometry of their image.

An entry of the manifest's column `mask` is a file, or `rle:SIDE:RUNS` for run lengths. Files are
bright pictures, label maps with known values, or numpy arrays (`source.mask_format`).
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from ifambench.data.images import View, explained_failures, shown_size, to_view
from ifambench.data.images import read_mask as read_bright
from ifambench.errors import EnvironmentProblem
from ifambench.suites.source import Source

RLE = "rle:"
_LONGEST_SIDE = 2**14
_MOST_BYTES = 2**30
"""Of a mask in memory; a small file may unpack to any size."""


def read_mask(folder: Path, entry: str, view: View, source: Source) -> NDArray[np.bool_]:
    """A mask in the geometry of its image, (size, size) bool; True is the object.

    Args:
        folder: The suite's folder.
        entry: The manifest's `mask`, not empty.
        view: Size and crop; every pixel takes the nearest one of the mask.
        source: Says what the files mean.

    Raises:
        EnvironmentProblem: If the mask is missing or damaged; names the file.
    """
    from PIL import Image

    if not entry.startswith(RLE) and source.mask_format == "bright":
        return read_bright(folder / entry, view, source.mask_threshold)
    mask = _array(folder, entry, source)
    fitted = to_view(Image.fromarray(mask), view, Image.Resampling.NEAREST)
    return np.asarray(fitted, np.bool_)


def mask_size(folder: Path, entry: str, source: Source) -> tuple[int, int]:
    """Width and height of a mask as it is shown, which must be those of its image.

    Raises:
        EnvironmentProblem: If the mask is missing or damaged; names the file.
    """
    from PIL import Image

    if entry.startswith(RLE) or source.mask_format == "npy":
        height, width = _array(folder, entry, source).shape
        return width, height
    with explained_failures(folder / entry), Image.open(folder / entry) as image:
        return shown_size(image)


def whole_mask(folder: Path, entry: str, source: Source) -> NDArray[np.bool_]:
    """A mask at its own size, (H, W) bool, of any format but grey pictures (`bright`).

    Raises:
        EnvironmentProblem: If the mask is missing or damaged; names the file.
    """
    return _array(folder, entry, source)


def decode_rle(runs: str, side: int) -> NDArray[np.bool_]:
    """Run lengths as SIIM-ACR writes them, (side, side) bool.

    `runs` alternates gaps and lengths: the pixels from the end of the run before to the start of
    the next, and the pixels of that run. Pixels are counted down the columns, from the left one to
    the right. Several lists divided by `;` are united.

    >>> decode_rle("1 2 1 1", 3).astype(int).tolist()
    [[0, 0, 0], [1, 1, 0], [1, 0, 0]]

    Raises:
        ValueError: If the runs are no pairs of numbers or leave the image.
    """
    if not 0 < side <= _LONGEST_SIDE:
        raise ValueError(f"a side of {side} pixels is not between 1 and {_LONGEST_SIDE}")
    flat = np.zeros(side * side, np.bool_)
    for lesion in runs.split(";"):
        numbers = [int(text) for text in lesion.split()]
        if len(numbers) % 2 or any(number < 0 for number in numbers):
            raise ValueError("the run lengths are no pairs of a gap and a length")
        if sum(numbers) > flat.size:
            raise ValueError(f"the run lengths leave the {side} x {side} pixels")
        ends = np.cumsum(numbers, dtype=np.int64)
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            flat[start:end] = True
    return flat.reshape(side, side).T


def _array(folder: Path, entry: str, source: Source) -> NDArray[np.bool_]:
    """The mask at its own size."""
    if entry.startswith(RLE):
        return _runs(entry)
    path = folder / entry
    if source.mask_format == "npy":
        with explained_failures(path):
            return _object(_loaded(path), source.mask_threshold)
    return np.isin(_label_map(path), source.mask_values)


def _runs(entry: str) -> NDArray[np.bool_]:
    try:
        _, side, runs = entry.split(":")
        return np.ascontiguousarray(decode_rle(runs, int(side)))
    except ValueError as error:
        raise EnvironmentProblem(
            f"a mask cannot be read: {error}", where=f"{entry[:40]}..."
        ) from error


def _loaded(path: Path) -> NDArray[Any]:
    """A numpy file; of an archive, its only array."""
    try:
        if is_zipfile(path):
            return _packed(path)
        # Mapped, not read: a header that promises more than the file holds is refused by its size.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (EOFError, BadZipFile, zlib.error) as error:
        raise ValueError("it is empty or cut off") from error


def _packed(path: Path) -> NDArray[Any]:
    """The only array of an archive."""
    with ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        if len(arrays.files) != 1:
            raise ValueError(f"it holds {len(arrays.files)} arrays instead of one")
        return np.asarray(arrays[arrays.files[0]])


def _object(array: NDArray[Any], threshold: int) -> NDArray[np.bool_]:
    """Non-zero pixels; of fractions those above the threshold."""
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise ValueError(f"it is no 2-D mask (shape {array.shape}, {array.dtype})")
    if array.dtype.kind != "f":
        return np.asarray(array != 0)
    if not np.isfinite(array).all():
        raise ValueError("it has values that are no numbers")
    scale = 255 if array.size and array.max() <= 1 else 1
    return np.asarray(array > threshold / scale)


def _label_map(path: Path) -> NDArray[Any]:
    """The values of a picture as they are stored, upright; a palette is not looked up."""
    from PIL import Image, ImageOps

    with explained_failures(path), Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if len(image.getbands()) != 1:
            raise ValueError(f"a label map has one channel, not {image.mode}")
        return np.asarray(image)
