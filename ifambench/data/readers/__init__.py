"""Readers: how the images of a suite are listed in its files.

A reader is one file with a literal `READERS = {"name": {"build": "function", "summary": ...}}`; the
function takes the suite and its folder and gives an `Item` per image, with the names the suite
declares. With `"partial": True` in the literal it also takes the keyword `partial` of `read_rows`.
Other packages offer readers through the entry-point group `ifambench.readers`; a suite file chooses
such a one with `reader = "plugin:NAME"`. What all readers have in common is checked in `frame.py`.
Nothing downstream depends on how a table or a folder is ordered.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ifambench.data.readers.frame import rows_of
from ifambench.data.readers.item import Item, declared
from ifambench.errors import UsageError
from ifambench.registry import Registry
from ifambench.suites.source import PLUGIN
from ifambench.suites.spec import Suite

REGISTRY = Registry(kind="reader", package=__name__, constant="READERS")

__all__ = ["REGISTRY", "Item", "declared", "read_rows"]


def read_rows(suite: Suite, folder: Path, *, partial: bool = False) -> pd.DataFrame:
    """The manifest rows of a suite that is read from files.

    Args:
        suite: A suite with `[source]`.
        folder: Its folder, see `folders.find_data_folder`.
        partial: Leave out images whose file is missing, and splits without images, instead of
            refusing; a mask that is missing is "".

    Returns:
        Rows of all splits, variant `original`, by split in the order of the suite, then by id
        (numbers by value). Splits that the data do not have are drawn (`source.holdout`).

    Raises:
        EnvironmentProblem: If the files are not what the suite file describes; names file and line.
        UsageError: If the suite wants a reader that is not installed.
    """
    if suite.source is None:
        raise ValueError(f"{suite.id} is generated, it has no files")
    entries, name = REGISTRY.entries(), suite.source.reader.removeprefix(PLUGIN)
    if name not in entries:
        raise UsageError(
            f'suite {suite.id} needs the reader "{name}", which no installed package offers',
            where="source.reader",
            choices=list(entries),
            next_step="install the package that offers it (entry-point group ifambench.readers)",
        )
    options = {"partial": partial} if entries[name].info.get("partial") else {}
    items = entries[name].load()(suite, folder, **options)
    return rows_of(suite, folder, items, partial=partial)
