"""Reader `image_folder`: folders and file names tell class, attributes and split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple, cast

from ifambench.data.readers.item import Item
from ifambench.data.readers.patterns import (
    Shape,
    codings_of,
    decoded,
    fill,
    item_id,
    matches,
    no_file,
    walk,
)
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.source import ImageFolder, Pattern
from ifambench.suites.spec import Suite

READERS = {
    "image_folder": {
        "build": "read_image_folder",
        "summary": "files whose folders and names tell class, attributes and split",
        "partial": True,
    }
}

_Codings = Mapping[str, Mapping[str, str]]


class _Found(NamedTuple):
    path: str
    """Below `images`."""
    fields: dict[str, str]
    """As they stand in the path."""
    names: dict[str, str]
    """`y`, `split` and attributes as declared names."""


def read_image_folder(suite: Suite, folder: Path, *, partial: bool = False) -> list[Item]:
    """The images that match the patterns of a suite, each of them in exactly one pattern.

    Args:
        suite: A suite with this reader.
        folder: Its folder.
        partial: A pattern may match nothing.

    Raises:
        EnvironmentProblem: If a pattern matches nothing, two take the same file, or a value is not
            declared; names the pattern or the path.
        UsageError: If `where`, `id` or `mask_pattern` name a field that the pattern does not have.
    """
    source = cast(ImageFolder, suite.source)
    root, codings = folder / source.images, codings_of(suite)
    shapes = [Shape(pattern.path, codings) for pattern in source.patterns]
    paths = walk(root, shapes, source.exclude)
    of_shape = {shape.text: list(matches(shape, paths)) for shape in shapes}
    taken: dict[str, str] = {}
    items = []
    for pattern, shape in zip(source.patterns, shapes, strict=True):
        _refuse_unknown(suite, pattern, shape)
        chosen = [
            (path, fields)
            for path, fields in of_shape[shape.text]
            if all(fields[name] in values for name, values in pattern.where.items())
        ]
        if not chosen and not (partial or pattern.optional):
            raise no_file(pattern.path, root)
        for found in _found(pattern, chosen, codings, root):
            if found.path in taken:
                raise EnvironmentProblem(
                    f'the file matches "{taken[found.path]}" and "{pattern.path}"',
                    where=str(root / found.path),
                    next_step="narrow one of the patterns in the suite file",
                )
            taken[found.path] = pattern.path
            items.append(_item(suite, source, root, found))
    return items


def _refuse_unknown(suite: Suite, pattern: Pattern, shape: Shape) -> None:
    """`where` names fields of the path."""
    unknown = [name for name in pattern.where if name not in shape.fields]
    if unknown:
        raise UsageError(
            f'the pattern "{pattern.path}" has no field {unknown[0]}',
            where=f"suites/{suite.id}/suite.toml: source.patterns, where",
            choices=shape.fields,
        )


def _found(
    pattern: Pattern, files: list[tuple[str, dict[str, str]]], codings: _Codings, root: Path
) -> Iterator[_Found]:
    """The files of a pattern; of each cell those from `skip` on, `first` of them."""
    cells: dict[tuple[tuple[str, str], ...], int] = {}
    for path, fields in files:
        names = decoded(codings, fields, str(root / path)) | pattern.set
        names["split"] = pattern.split or names["split"]
        cell = tuple(sorted(names.items()))
        place = cells[cell] = cells.get(cell, -1) + 1
        if pattern.skip <= place and (
            pattern.first is None or place < pattern.skip + pattern.first
        ):
            yield _Found(path, fields, names)


def _item(suite: Suite, source: ImageFolder, root: Path, found: _Found) -> Item:
    return Item(
        id=item_id(source.id, found.path, found.fields),
        path=str(PurePosixPath(source.images) / found.path),
        split=found.names["split"],
        label=found.names["y"],
        where=str(root / found.path),
        attributes={name: found.names[name] for name in suite.attributes},
        mask=_mask(source, found.fields),
    )


def _mask(source: ImageFolder, fields: Mapping[str, str]) -> str | None:
    if source.mask_pattern is None:
        return None
    mask = fill(source.mask_pattern, fields, "source.mask_pattern")
    return mask + source.mask_suffix if source.mask_pattern.endswith("}") else mask
