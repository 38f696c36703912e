"""Reader `cub`: CUB-200-2011 (Wah et al. 2011, CNS-TR-2011-001).

The archive holds more photos than the tables name; only those of `images.txt` count.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import cast

from ifambench.data.readers.item import Item, declared
from ifambench.data.readers.table import Form, Line, read_table
from ifambench.errors import EnvironmentProblem
from ifambench.suites.source import Cub
from ifambench.suites.spec import Suite

READERS = {
    "cub": {
        "build": "read_cub",
        "summary": "CUB-200-2011: images.txt, image_class_labels.txt, train_test_split.txt",
    }
}

_SPLITS = {"1": "train", "0": "test"}


def read_cub(suite: Suite, folder: Path) -> list[Item]:
    """The indexed photos; class k of the tables, counted from 1, is label k - 1.

    Args:
        suite: A suite with this reader.
        folder: The folder with the tables.

    Raises:
        EnvironmentProblem: If a table is missing, lacks an image or has a value that is none;
            names file and line.
    """
    source = cast(Cub, suite.source)
    paths = read_table(folder / "images.txt", None, Form("whitespace", ("id", "path")))
    labels = _by_id(folder / "image_class_labels.txt", "class")
    flags = _by_id(folder / "train_test_split.txt", "flag")
    found = (_item(suite, source, line, labels, flags) for line in paths)
    return [item for item in found if item.split in suite.splits]


def _item(
    suite: Suite, source: Cub, line: Line, labels: dict[str, Line], flags: dict[str, Line]
) -> Item:
    name = line.cells["id"]
    for file, table in (("image_class_labels.txt", labels), ("train_test_split.txt", flags)):
        if name not in table:
            raise EnvironmentProblem(f"image {name} is not in {file}", where=line.where)
    classes = {str(k): label for k, label in enumerate(suite.labels, 1)}
    label, flag = labels[name], flags[name]
    return Item(
        id=name,
        path=str(PurePosixPath(source.images) / line.cells["path"]),
        split=declared("split", flag.cells["flag"], _SPLITS, "the table", flag.where),
        label=declared("label", label.cells["class"], classes, "the table", label.where),
        where=line.where,
    )


def _by_id(path: Path, column: str) -> dict[str, Line]:
    lines = read_table(path, None, Form("whitespace", ("id", column)))
    return {line.cells["id"]: line for line in lines}
