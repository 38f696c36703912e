"""Reader `metadata_csv`: a table with one line per image (Waterbirds, WILDS, CelebA, ISIC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import cast

from ifambench.data.readers.item import Item, declared
from ifambench.data.readers.table import Form, Line, columns_of, read_table, refuse_columns
from ifambench.errors import EnvironmentProblem
from ifambench.suites.parts import is_inside
from ifambench.suites.source_table import Coding, Join, MetadataCsv
from ifambench.suites.spec import Suite

READERS = {
    "metadata_csv": {
        "build": "read_metadata_csv",
        "summary": "a table with one line per image",
    }
}

_Partners = Mapping[str, Mapping[str, str]]


def read_metadata_csv(suite: Suite, folder: Path) -> list[Item]:
    """The images that a table lists, or one table per split.

    Args:
        suite: A suite with this reader.
        folder: Its folder.

    Raises:
        EnvironmentProblem: If a column is missing, a value is not declared, a path leads out of
            the folder, or a joined table lacks a line; with file and line.
    """
    source = _form_there(cast(MetadataCsv, suite.source), folder)
    tables = source.tables or {"": source.metadata}
    _refuse_columns(suite, source, folder)
    joined = [(join, _partners(source, join, folder)) for join in source.join]
    items = {
        split: [_item(suite, source, split, line) for line in _lines(source, folder, file, joined)]
        for split, file in tables.items()
    }
    return list(chain.from_iterable(_without_leaks(source, items).values()))


def _form_there(source: MetadataCsv, folder: Path) -> MetadataCsv:
    """The source with the first form of its table that the folder has; by default as it is."""
    if (folder / source.metadata).exists():
        return source
    there = (form for form in source.other_forms if (folder / form.metadata).exists())
    form = next(there, None)
    return source if form is None else source.model_copy(update=dict(form))


def _wanted(source: MetadataCsv) -> list[str]:
    columns, codings = source.columns, [source.label, source.split, *source.attributes.values()]
    named = [columns.id, columns.path, columns.fg_id, columns.bg_id]
    named += [coding.column for coding in codings if coding is not None]
    return [name for name in named if name is not None]


def _refuse_columns(suite: Suite, source: MetadataCsv, folder: Path) -> None:
    """Every column is in the table or in one that is joined to it."""
    wanted_by, keys = f"suite {suite.id}: source", [join.on for join in source.join]
    tables = [folder / file for file in source.tables.values() or [source.metadata]]
    own = [columns_of(table, _form(source)) for table in tables]
    joined: list[str] = []
    for join in source.join:
        columns = columns_of(folder / join.file, _join_form(source, join))
        refuse_columns(folder / join.file, [join.on], columns, wanted_by)
        joined += columns
    for table, columns in zip(tables, own, strict=True):
        refuse_columns(table, keys, columns, wanted_by)
        refuse_columns(table, _wanted(source), [*columns, *joined], wanted_by)


def _form(source: MetadataCsv) -> Form:
    return Form(source.separator, source.names, first=source.columns.id)


def _join_form(source: MetadataCsv, join: Join) -> Form:
    return Form(join.separator or source.separator, join.names, first=join.on)


def _partners(source: MetadataCsv, join: Join, folder: Path) -> _Partners:
    """The lines of a joined table by its key."""
    found: dict[str, Mapping[str, str]] = {}
    wanted = {*_wanted(source), join.on}
    for line in read_table(folder / join.file, wanted, _join_form(source, join)):
        key = line.cells[join.on]
        if key in found:
            raise EnvironmentProblem(f"{join.on} {key} is there twice", where=line.where)
        found[key] = line.cells
    return found


def _lines(
    source: MetadataCsv, folder: Path, file: str, joined: list[tuple[Join, _Partners]]
) -> Iterator[Line]:
    """The lines of a table with the cells of their partners; the table's own cells come first."""
    wanted = {*_wanted(source), *(join.on for join, _ in joined)}
    for line in read_table(folder / file, wanted, _form(source)):
        cells = dict(line.cells)
        for join, partners in joined:
            key = line.cells[join.on]
            if key not in partners:
                raise EnvironmentProblem(
                    f"{join.on} {key} is not in {folder / join.file}", where=line.where
                )
            cells = {**partners[key], **cells}
        yield Line(line.where, cells)


def _item(suite: Suite, source: MetadataCsv, split: str, line: Line) -> Item:
    columns, cells = source.columns, line.cells
    if not cells[columns.id]:
        raise EnvironmentProblem("the image has no id", where=line.where)
    return Item(
        id=cells[columns.id],
        path=str(PurePosixPath(source.images) / _path(line, source)),
        split=split if source.split is None else _decoded("split", source.split, line),
        label=_decoded("label", source.label, line),
        where=line.where,
        attributes={
            name: _decoded(name, coding, line) for name, coding in source.attributes.items()
        },
        fg_id=cells[columns.fg_id] if columns.fg_id else "",
        bg_id=cells[columns.bg_id] if columns.bg_id else "",
    )


def _decoded(what: str, coding: Coding, line: Line) -> str:
    value, place = line.cells[coding.column], f'column "{coding.column}"'
    return declared(what, value, coding.values, place, line.where)


def _path(line: Line, source: MetadataCsv) -> str:
    path = line.cells[source.columns.path]
    if not PurePosixPath(path).name or not is_inside(path):
        raise EnvironmentProblem(
            f'"{path}" is not a path below the folder of the images', where=line.where
        )
    return path + source.path_suffix


def _without_leaks(source: MetadataCsv, items: dict[str, list[Item]]) -> dict[str, list[Item]]:
    """Images that another split lists too, taken out of the split that must not have them.

    Without `tables` the items are regrouped by their split first.
    """
    if not source.leaked:
        return items
    by_split: dict[str, list[Item]] = {}
    for item in chain.from_iterable(items.values()):
        by_split.setdefault(item.split, []).append(item)
    ids = {split: {item.id for item in found} for split, found in by_split.items()}
    return {
        split: [item for item in found if item.id not in ids.get(source.leaked.get(split, ""), ())]
        for split, found in by_split.items()
    }
