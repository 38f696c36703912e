"""Images and masks that lie in files: decoded in threads when they are asked for, then kept.

Pillow and hashlib release the interpreter lock, so threads use all cores; nothing has to be
pickled and no process started.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.hdf5 import hdf5_image, is_hdf5
from ifambench.data.images import View, explained_failures, read_image, shown_size, viewed
from ifambench.data.masks import RLE, mask_size, read_mask
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.source import Hdf5, Source

CACHE_BYTES = 2 * 2**30
"""Decoded images that are kept in memory; further ones are decoded again every time."""

_MAX_THREADS = 32
_WINDOW = 4096
"""Items that are handed to the threads at once: a list of all would not fit for millions."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ByteCache:
    """Arrays by key, up to a number of bytes; what is in it stays.

    Epochs go through all images in turn. Throwing out what was used longest ago would then throw
    out what is needed next, so nothing is thrown out. Safe to use from several threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrays: dict[Any, NDArray[Any]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._bytes

    def get(self, key: Any) -> NDArray[Any] | None:
        """The array, or None."""
        return self._arrays.get(key)

    def put(self, key: Any, array: NDArray[Any]) -> None:
        """Keep an array if there is room."""
        with self._lock:
            if key not in self._arrays and self._bytes + array.nbytes <= self._limit:
                self._arrays[key] = array
                self._bytes += array.nbytes


class FilePixels:
    """The images and masks behind manifest rows whose `path` and `mask` are files.

    Args:
        root: Folder that the paths are relative to.
        view: Size, crop and interpolation.
        source: How masks are read; not needed for images alone.
        cache_bytes: How much is kept in memory.
        cache: A cache that others use too, instead of an own one.
    """

    def __init__(
        self,
        root: Path,
        view: View,
        source: Source | None = None,
        cache_bytes: int = CACHE_BYTES,
        cache: ByteCache | None = None,
    ) -> None:
        self.root = root
        self.view = view
        self.source = source
        self.cache = ByteCache(cache_bytes) if cache is None else cache

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        """The images of the manifest rows, (N, size, size, 3) RGB.

        Raises:
            EnvironmentProblem: Naming the first file that cannot be read.
        """
        empty = np.empty((0, self.view.image_size, self.view.image_size, 3), np.uint8)
        return self._read(rows["path"], "image", self._image, empty)

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The true foreground masks of the manifest rows, (N, size, size).

        Raises:
            EnvironmentProblem: Naming the first image without a mask, or the first file that
                cannot be read.
        """
        without = rows.loc[rows["mask"].eq(""), "id"]
        if len(without):
            raise EnvironmentProblem(
                f"image {without.iloc[0]} has no mask",
                where=str(self.root),
                next_step="add the masks that the suite file names (ifambench show SUITE)",
            )
        empty = np.empty((0, self.view.image_size, self.view.image_size), np.bool_)
        return self._read(rows["mask"], "mask", self._mask, empty)

    def _image(self, entry: str) -> NDArray[np.uint8]:
        if is_hdf5(entry):
            return viewed(hdf5_image(self.root, entry, _image_key(self.source)), self.view)
        return read_image(self.root / entry, self.view)

    def _mask(self, entry: str) -> NDArray[np.bool_]:
        if self.source is None:
            raise TypeError("masks cannot be read without the source that describes them")
        return read_mask(self.root, entry, self.view, self.source)

    def _read(
        self,
        names: Iterable[str],
        kind: str,
        read: Callable[[str], NDArray[Any]],
        empty: NDArray[Any],
    ) -> NDArray[Any]:
        wanted = list(names)
        kept = {name: self.cache.get((self.root, self.view, kind, name)) for name in wanted}
        found = {name: array for name, array in kept.items() if array is not None}
        missing = [name for name in kept if name not in found]
        decoded = in_threads(read, missing)
        for name, array in zip(missing, decoded, strict=True):
            self.cache.put((self.root, self.view, kind, name), array)
            found[name] = array
        return np.stack([found[name] for name in wanted]) if wanted else empty


def in_threads(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """The results in the order of the items; the first failure in that order is raised."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = min(cores or 1, len(items), _MAX_THREADS)
    if threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), _WINDOW):
            yield from pool.map(work, items[start : start + _WINDOW])


def rows_fingerprint(rows: pd.DataFrame) -> str:
    """sha256 of ids, file names, labels, groups and attributes, in the order of the rows."""
    columns = ["id", "path", "y", "group", *(name for name in rows if name.startswith("a_"))]
    return hashlib.sha256(rows_text(rows[columns])).hexdigest()


def content_digests(
    folder: Path, rows: pd.DataFrame, progress: Progress, source: Source | None = None
) -> str:
    """sha256 of the manifest rows and of the bytes of their images and masks.

    Args:
        folder: What the paths of the rows are relative to.
        rows: Manifest rows of one split.
        progress: Told about each image.
        source: Says what the masks are; not needed for rows without masks.

    Raises:
        EnvironmentProblem: If a file is missing or no image, or a mask has another size than its
            image; names the file.
    """
    found = hashlib.sha256(rows_text(rows))
    pairs = list(zip(rows["path"], rows["mask"], strict=True))
    for digests in in_threads(partial(_examined, folder, source), pairs):
        found.update(digests)
        progress.advance()
    return found.hexdigest()


def rows_text(rows: pd.DataFrame) -> bytes:
    """Manifest rows as CSV."""
    text: str = rows.to_csv(index=False, lineterminator="\n")
    return text.encode()


def file_digest(path: Path) -> bytes:
    """sha256 of an image file.

    Raises:
        EnvironmentProblem: If it is missing or no image.
    """
    return _file(path)[0]


def _examined(folder: Path, source: Source | None, names: tuple[str, str]) -> bytes:
    """Digests of an image and its mask, which must have the same size."""
    image, mask = names
    digest, size = _of_image(folder, image, source)
    if not mask:
        return digest
    mask_digest, mask_size = _of_mask(folder, mask, source)
    if mask_size != size:
        raise EnvironmentProblem(
            f"the mask has {mask_size[0]} x {mask_size[1]} pixels, "
            f"its image {image} has {size[0]} x {size[1]}",
            where=str(folder / mask),
            next_step="get masks that belong to these images",
        )
    return digest + mask_digest


_Examined = tuple[bytes, tuple[int, int]]


def _of_image(folder: Path, entry: str, source: Source | None) -> _Examined:
    if not is_hdf5(entry):
        return _file(folder / entry)
    image = hdf5_image(folder, entry, _image_key(source))
    return hashlib.sha256(image.tobytes()).digest(), image.size


def _of_mask(folder: Path, entry: str, source: Source | None) -> _Examined:
    """Run lengths are part of the row and need no digest of their own."""
    if source is None:
        raise TypeError("masks cannot be examined without the source that describes them")
    if entry.startswith(RLE):
        return b"", mask_size(folder, entry, source)
    if source.mask_format != "npy":
        return _file(folder / entry)
    size = mask_size(folder, entry, source)
    return hashlib.sha256((folder / entry).read_bytes()).digest(), size


def _image_key(source: Source | None) -> str:
    return source.image_key if isinstance(source, Hdf5) else "images"


def _file(path: Path) -> _Examined:
    """sha256 of a file, and width and height of the image in it as it is shown."""
    from PIL import Image

    with explained_failures(path):
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            size = shown_size(image)
    return hashlib.sha256(content).digest(), size
