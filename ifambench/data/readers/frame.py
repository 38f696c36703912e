"""Items of a reader become manifest rows: the checks that all readers share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ifambench.data.folders import mask_folder
from ifambench.data.holdout import hold_out
from ifambench.data.masks import RLE
from ifambench.data.readers.item import Item, declared
from ifambench.errors import EnvironmentProblem
from ifambench.suites.parts import is_inside
from ifambench.suites.source import Source
from ifambench.suites.spec import Suite

_SHOWN = 3
"""Missing files that are named; the others are counted."""
_LONG = 19
"""Digits that no longer fit into 64 bits."""
_INDEXED = re.compile(r"(\.(?:h5|hdf5|h5py))#\d+$")
"""An image in an HDF5 file."""


def rows_of(suite: Suite, folder: Path, items: Iterable[Item], *, partial: bool) -> pd.DataFrame:
    """Manifest rows of all splits, checked, by split in the order of the suite, then by id.

    Args:
        suite: The suite.
        folder: Its folder.
        items: What its reader gave.
        partial: Leave out what is missing instead of refusing.

    Raises:
        EnvironmentProblem: If a name is not declared, an id or path is there twice, a path leads
            out of the folder, files are missing, or a split has no image.
    """
    frame = pd.DataFrame(_rows(suite, folder, list(items)))
    if frame.empty:
        raise EnvironmentProblem(f"there is no image of {suite.id}", where=str(folder))
    _refuse_duplicates(frame)
    assert suite.source is not None
    frame = hold_out(frame, suite.labels, suite.source.holdout)
    frame = _present(frame, folder, suite, partial=partial)
    _refuse_absent_splits(frame, folder, suite, partial=partial)
    order = frame.assign(
        _split=frame["split"].map(list(suite.splits).index), _id=_sortable(frame["id"])
    ).sort_values(["_split", "_id", "id"])  # 1 and 01 are the same number
    return order.drop(columns=["_split", "_id", "_where"]).reset_index(drop=True)


def _rows(suite: Suite, folder: Path, items: list[Item]) -> list[dict[str, Any]]:
    source = suite.source
    assert source is not None
    masks = mask_folder(source, folder)
    index = {label: k for k, label in enumerate(suite.labels)}
    splits = {name: name for name in suite.splits}
    values = {name: dict.fromkeys(item.values) for name, item in suite.attributes.items()}

    @cache
    def group(label: str, *cell: str) -> str:
        return suite.group_of(label, dict(zip(suite.attributes, cell, strict=True)))

    rows = []
    for item in items:
        _refuse_undeclared(item, index, splits, values)
        cell = [item.attributes[name] for name in suite.attributes]
        rows.append(
            {
                "id": item.id,
                "path": item.path,
                "split": item.split,
                "y": index[item.label],
                "group": group(item.label, *cell),
                **{f"a_{name}": value for name, value in zip(values, cell, strict=True)},
                "mask": _mask(source, masks, item),
                "variant": "original",
                "fg_id": item.fg_id,
                "bg_id": item.bg_id,
                "_where": item.where,
            }
        )
    return rows


def _refuse_undeclared(
    item: Item,
    labels: Mapping[str, int],
    splits: Mapping[str, str],
    attributes: Mapping[str, Mapping[str, Any]],
) -> None:
    """Names of the suite only, in every item; a path that stays in the folder."""
    if item.label not in labels:
        declared("label", item.label, dict.fromkeys(labels, ""), "the data", item.where)
    if item.split not in splits:
        declared("split", item.split, splits, "the data", item.where)
    for name, values in attributes.items():
        if item.attributes.get(name) not in values:
            found = item.attributes.get(name, "")
            declared(name, found, dict.fromkeys(values, ""), "the data", item.where)
    if not item.id or not item.path:
        raise EnvironmentProblem("the image has no id or no path", where=item.where)
    for path in (item.path, "" if (item.mask or "").startswith(RLE) else item.mask):
        if path and not is_inside(path):
            raise EnvironmentProblem(
                f'"{path}" is not a path below the folder of the suite', where=item.where
            )


def _mask(source: Source, masks: str | None, item: Item) -> str:
    """The mask that the reader found, else the file that the suite file describes."""
    if masks is None:
        return ""
    if item.mask is not None or source.masks is None:
        return item.mask or ""
    below = PurePosixPath(item.path).relative_to(source.images)
    if not below.name:
        raise EnvironmentProblem(f'"{item.path}" is no image file', where=item.where)
    return f"{PurePosixPath(source.masks) / below.with_suffix('')}{source.mask_suffix}"


def _refuse_duplicates(rows: pd.DataFrame) -> None:
    for column, what in (("id", "id"), ("path", "image file")):
        twice = rows[rows[column].duplicated()]
        if len(twice):
            first = twice.iloc[0]
            raise EnvironmentProblem(
                f"the {what} {first[column]} is there twice", where=str(first["_where"])
            )


def _refuse_absent_splits(rows: pd.DataFrame, folder: Path, suite: Suite, *, partial: bool) -> None:
    there = set(rows["split"])
    absent = [] if partial and there else [name for name in suite.splits if name not in there]
    if absent:
        raise EnvironmentProblem(f'there is no image of split "{absent[0]}"', where=str(folder))


def _present(rows: pd.DataFrame, folder: Path, suite: Suite, *, partial: bool) -> pd.DataFrame:
    """The rows whose files are there; unless a part is enough, all missing files are an error."""
    files = {column: rows[column].map(_file) for column in ("path", "mask")}
    wanted = {name for column in files.values() for name in column if name}
    missing = _missing(wanted, folder)
    if not missing:
        return rows
    if partial:
        masks = rows["mask"].where(~files["mask"].isin(missing), "")
        return rows.assign(mask=masks)[~files["path"].isin(missing)].reset_index(drop=True)
    named = ", ".join(sorted(missing)[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
    raise EnvironmentProblem(
        f"{len(missing):,} of {len(wanted):,} files of {suite.id} are missing: {named}",
        where=str(folder),
        next_step="unpack the data again; every file that the suite lists must be there",
    )


def _file(name: str) -> str:
    """The file behind an image or mask, "" when it is none."""
    return "" if name.startswith(RLE) else _INDEXED.sub(r"\1", name)


def _missing(wanted: set[str], folder: Path) -> set[str]:
    """Listing the folders is much faster than asking for every file."""
    parents = {name.rpartition("/")[0] for name in wanted}
    there = {
        f"{parent}/{item.name}" if parent else item.name
        for parent in parents
        if (folder / parent).is_dir()
        for item in (folder / parent).iterdir()
    }
    return wanted - there


def _sortable(ids: pd.Series) -> pd.Series:
    """Numbers by value when all ids are numbers, else texts."""
    numbers = all(name.isascii() and name.isdigit() and len(name) < _LONG for name in ids)
    return ids.map(int) if numbers else ids
