"""Tables that list the images of a suite become manifest rows.

A reader takes the suite and its folder and gives the rows of all splits, sorted by id, whatever
the order of the table: nothing downstream depends on how a table or a folder is ordered.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from ifambench.data.folders import mask_folder
from ifambench.errors import EnvironmentProblem
from ifambench.suites.source import Coding, Source, is_inside
from ifambench.suites.spec import Suite

_SHOWN = 3
"""Missing files that are named; the others are counted."""


class _Line(NamedTuple):
    """One line of the table."""

    where: str
    """File and line number."""
    cells: Mapping[str, str]


def read_metadata_csv(suite: Suite, folder: Path) -> pd.DataFrame:
    """The rows of a CSV file with one line per image (the layout of Waterbirds and WILDS).

    Args:
        suite: A suite with `[source]`.
        folder: Its folder.

    Returns:
        Manifest rows of all splits, by split in the order of the suite, then by id.

    Raises:
        EnvironmentProblem: If a column is missing, a value is not declared, an id is there twice
            or a path leads out of the folder (each with file and line), or if files are missing.
    """
    assert suite.source is not None
    masks = mask_folder(suite.source, folder)
    rows = [_row(suite, suite.source, masks, line) for line in _lines(suite, suite.source, folder)]
    frame = pd.DataFrame(rows)
    _refuse_absent_splits(frame, folder, suite)
    _refuse_duplicates(frame)
    _refuse_missing(frame, folder, suite)
    order = frame.assign(
        _split=frame["split"].map(list(suite.splits).index), _id=_sortable(frame["id"])
    ).sort_values(["_split", "_id"], kind="stable")
    return order.drop(columns=["_split", "_id", "_where"]).reset_index(drop=True)


def _lines(suite: Suite, source: Source, folder: Path) -> Iterator[_Line]:
    """The lines of the table, with all columns that the suite file names."""
    path = folder / source.metadata
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            _refuse_columns(suite, source, table.fieldnames or [], path)
            yield from _whole_lines(table, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnvironmentProblem(f"cannot read the table: {error}", where=str(path)) from error


def _whole_lines(table: csv.DictReader[str], path: Path) -> Iterator[_Line]:
    empty = True
    for cells in table:
        where, empty = f"{path}:{table.line_num}", False
        if None in cells or None in cells.values():
            raise EnvironmentProblem("the line has not as many cells as the header", where=where)
        yield _Line(where, {name: cell.strip() for name, cell in cells.items()})
    if empty:
        raise EnvironmentProblem("the table lists no image", where=str(path))


def _refuse_columns(suite: Suite, source: Source, found: Any, path: Path) -> None:
    columns, codings = source.columns, (source.label, source.split, *source.attributes.values())
    wanted = [columns.id, columns.path, columns.fg_id, columns.bg_id]
    wanted += [coding.column for coding in codings]
    missing = [name for name in wanted if name is not None and name not in found]
    if missing:
        raise EnvironmentProblem(
            f'the table has no column "{missing[0]}"',
            where=f"{path}, wanted by suite {suite.id}: source",
            choices=[name for name in found if name],
        )


def _row(suite: Suite, source: Source, masks: str | None, line: _Line) -> dict[str, Any]:
    """One manifest row, and where it comes from."""
    if not line.cells[source.columns.id]:
        raise EnvironmentProblem("the image has no id", where=line.where)
    label = _decoded("label", source.label, line)
    attributes = {name: _decoded(name, coding, line) for name, coding in source.attributes.items()}
    path = _path(line, source)
    columns = source.columns
    return {
        "id": line.cells[columns.id],
        "path": str(PurePosixPath(source.images) / path),
        "split": _decoded("split", source.split, line),
        "y": suite.labels.index(label),
        "group": suite.group_of(label, attributes),
        **{f"a_{name}": attributes[name] for name in suite.attributes},
        "mask": "" if masks is None else str((PurePosixPath(masks) / path).with_suffix(".png")),
        "variant": "original",
        "fg_id": line.cells[columns.fg_id] if columns.fg_id else "",
        "bg_id": line.cells[columns.bg_id] if columns.bg_id else "",
        "_where": line.where,
    }


def _decoded(what: str, coding: Coding, line: _Line) -> str:
    """The declared name of a value."""
    value = line.cells[coding.column]
    if value not in coding.values:
        raise EnvironmentProblem(
            f'{what} "{value}" in column "{coding.column}" is not one of the suite file',
            where=line.where,
            choices=list(coding.values),
            next_step="correct the table, or the coding in the suite file",
        )
    return coding.values[value]


def _path(line: _Line, source: Source) -> PurePosixPath:
    path = line.cells[source.columns.path]
    if not PurePosixPath(path).name or not is_inside(path):
        raise EnvironmentProblem(
            f'"{path}" is not a path below the folder of the images', where=line.where
        )
    return PurePosixPath(path)


def _refuse_absent_splits(rows: pd.DataFrame, folder: Path, suite: Suite) -> None:
    absent = [name for name in suite.splits if name not in set(rows["split"])]
    if absent:
        raise EnvironmentProblem(
            f'the table lists no image of split "{absent[0]}"', where=str(folder)
        )


def _refuse_duplicates(rows: pd.DataFrame) -> None:
    for column, what in (("id", "id"), ("path", "image file")):
        twice = rows[rows[column].duplicated()]
        if len(twice):
            first = twice.iloc[0]
            raise EnvironmentProblem(
                f"the {what} {first[column]} is there twice", where=str(first["_where"])
            )


def _refuse_missing(rows: pd.DataFrame, folder: Path, suite: Suite) -> None:
    """All missing files at once: half an archive is the usual reason."""
    wanted = [name for column in ("path", "mask") for name in rows[column] if name]
    folders = {PurePosixPath(name).parent for name in wanted}
    there = {str(parent / name) for parent in folders for name in _files(folder / parent)}
    missing = sorted(name for name in wanted if name not in there)
    if missing:
        named = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise EnvironmentProblem(
            f"{len(missing):,} of {len(wanted):,} files of {suite.id} are missing: {named}",
            where=str(folder),
            next_step="unpack the data again; every file of the table must be there",
        )


def _files(folder: Path) -> list[str]:
    """Names in a folder; listing it is much faster than asking for every file."""
    return [item.name for item in folder.iterdir()] if folder.is_dir() else []


def _sortable(ids: pd.Series) -> pd.Series:
    """Numbers by value when all ids are numbers, else texts."""
    numbers = all(name.isascii() and name.isdigit() for name in ids)
    return ids.map(int) if numbers else ids


READERS = {"metadata_csv": read_metadata_csv}
