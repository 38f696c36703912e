"""Reader `hdf5`: arrays of images and labels, one file per split or domain (COCO-on-Places)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ifambench.data.hdf5 import array_of, opened
from ifambench.data.readers.item import Item, declared
from ifambench.errors import EnvironmentProblem
from ifambench.suites.source import Hdf5
from ifambench.suites.spec import Suite

READERS = {
    "hdf5": {
        "build": "read_hdf5",
        "summary": "arrays of images and labels in HDF5 files",
    }
}


def read_hdf5(suite: Suite, folder: Path) -> list[Item]:
    """The images of all files; the path of an image is `FILE#INDEX`, its id `NAME/INDEX`.

    Labels and fields are integers that `source.codings` names, or indices of the declared names.

    Args:
        suite: A suite with this reader.
        folder: Its folder.

    Raises:
        EnvironmentProblem: If h5py or a file is missing, an array is missing or has another length
            than the images, or a value is not declared.
    """
    source = cast(Hdf5, suite.source)
    items = []
    for file, told in source.files.items():
        items += _items(suite, source, folder, file, told)
    return items


def _items(
    suite: Suite, source: Hdf5, folder: Path, file: str, told: Mapping[str, str]
) -> list[Item]:
    name = str(PurePosixPath(source.images) / file)
    keys = {"y": source.label_key, **source.fields}
    with opened(folder / name) as arrays:
        number = len(array_of(arrays, source.image_key, folder / name))
        codes = {field: _codes(arrays, key, folder / name, number) for field, key in keys.items()}
    codings = {field: source.codings.get(field) or _indices(suite, field) for field in keys}
    stem = PurePosixPath(file).with_suffix("")
    items = []
    for k in range(number):
        where = f"{folder / name}#{k}"
        read = {
            field: declared(field, codes[field][k], codings[field], f'"{key}"', where)
            for field, key in keys.items()
        }
        items.append(
            Item(
                id=f"{stem}/{k:06d}",
                path=f"{name}#{k}",
                split=told["split"],
                label=read["y"],
                where=where,
                attributes={**told, **read},
            )
        )
    return items


def _indices(suite: Suite, field: str) -> dict[str, str]:
    return {str(k): value for k, value in enumerate(suite.values_of(field))}


def _codes(arrays: Any, key: str, path: Path, number: int) -> list[str]:
    """The integers of an array as text."""
    array = array_of(arrays, key, path)
    if array.shape not in ((number,), (number, 1)) or array.dtype.kind not in "iub":
        raise EnvironmentProblem(
            f'the array "{key}" ({array.dtype}, {array.shape}) has no integer for each of '
            f"{number:,} images",
            where=str(path),
        )
    return [str(int(value)) for value in array[()].reshape(-1)]
