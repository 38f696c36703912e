"""Images in HDF5 files, addressed as `FILE#INDEX`; h5py is needed only for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ifambench.errors import EnvironmentProblem

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_VALUES = 2**30
SUFFIXES = (".h5", ".hdf5", ".h5py")


def is_hdf5(entry: str) -> bool:
    """Whether a path of a manifest row addresses an image in an HDF5 file.

    >>> is_hdf5("train.h5#12"), is_hdf5("birds/no#1.jpg")
    (True, False)
    """
    file, _, index = entry.rpartition("#")
    return file.endswith(SUFFIXES) and index.isdecimal()


def hdf5_image(folder: Path, entry: str, key: str = "images") -> Image:
    """One image of an HDF5 file, before it is resized.

    Args:
        folder: What the entry is relative to.
        entry: `FILE#INDEX`.
        key: The array of images, (N, H, W, 3), (N, 3, H, W) or (N, H, W), of bytes or of fractions
            in [0, 1].

    Raises:
        EnvironmentProblem: If h5py, the file or the image is missing, or the array is none of that.
    """
    from PIL import Image

    file, _, index = entry.rpartition("#")
    with opened(folder / file) as arrays:
        array = array_of(arrays, key, folder / file)
        if int(index) >= len(array):
            raise EnvironmentProblem(f'"{key}" has no image {index}', where=str(folder / file))
        if math.prod(array.shape[1:]) > _MOST_VALUES:
            raise EnvironmentProblem(
                f"an image has the shape {array.shape[1:]}", where=str(folder / file)
            )
        return Image.fromarray(_pixels(np.asarray(array[int(index)]), folder / file))


def array_of(arrays: Any, key: str, path: Path) -> Any:
    """An array of an opened file, not yet read.

    Raises:
        EnvironmentProblem: If there is none, or its values lie in another file.
    """
    found = arrays.get(key)
    if not getattr(found, "shape", ()):
        raise EnvironmentProblem(
            f'there is no array "{key}"', where=str(path), choices=sorted(arrays)
        )
    if found.file.filename != arrays.filename or found.external or found.is_virtual:
        raise EnvironmentProblem(f'the array "{key}" lies in another file', where=str(path))
    return found


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file for reading.

    Raises:
        EnvironmentProblem: If h5py is not installed, or the file is missing or no HDF5 file.
    """
    try:
        import h5py
    except ImportError as error:
        raise EnvironmentProblem(
            "the package h5py is needed to read HDF5 files",
            where=str(path),
            next_step="pip install 'ifambench[hdf5]'",
        ) from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:  # the last two: damaged within
        raise EnvironmentProblem(f"cannot read the HDF5 file: {error}", where=str(path)) from error


def _pixels(array: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) bytes."""
    if array.ndim == 2:
        array = np.stack([array] * 3, axis=-1)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] != 3:
        raise EnvironmentProblem(f"an image has the shape {array.shape}", where=str(path))
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # NaN is neither
            raise EnvironmentProblem("an image has values outside of 0 to 1", where=str(path))
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise EnvironmentProblem(f"an image has pixels of type {array.dtype}", where=str(path))
    return np.ascontiguousarray(array)
