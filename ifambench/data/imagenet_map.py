"""Tables that come with the data and map the classes of ImageNet-1k to the labels of a suite.

Such a table is JSON, class index -> index of the label, or -1 for a class of no label:
`{"0": 8, "1": 8, "7": 1, "500": -1, ...}` (ImageNet-9's `in_to_in9.json`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ifambench.data.folders import find_data_folder
from ifambench.errors import EnvironmentProblem
from ifambench.suites.checks import IMAGENET_CLASSES
from ifambench.suites.spec import Suite

NO_LABEL = -1


def with_imagenet_map(suite: Suite, data_dir: Path | None, *, required: bool = True) -> Suite:
    """The suite with `[imagenet]` as its file says; a suite without such a file as it is.

    Args:
        suite: Any suite.
        data_dir: As for `find_data_folder`.
        required: Whether a missing file is an error; else the suite stays without a map.

    Raises:
        EnvironmentProblem: If the file is missing, or no such table.
    """
    if suite.imagenet_file is None:
        return suite
    path = find_data_folder(suite, data_dir) / suite.imagenet_file
    if not path.is_file() and not required:
        return suite
    labels = _read(path, suite)
    members = {
        name: [str(k) for k, label in enumerate(labels) if label == index]
        for index, name in enumerate(suite.labels)
    }
    unused = [name for name, found in members.items() if not found]
    if unused:
        raise _other(path, suite, f'no class has the label "{unused[0]}"')
    return suite.model_copy(update={"imagenet": members})


def _read(path: Path, suite: Suite) -> list[int]:
    """The label of each class, by its index."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EnvironmentProblem(
            "the table of the 1,000 classes is missing",
            where=str(path),
            next_step=f"ifambench data fetch {suite.id}, or put {path.name} there",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _other(path, suite, str(error)) from error
    wanted = {str(k) for k in range(IMAGENET_CLASSES)}
    if not isinstance(table, dict) or set(table) != wanted:
        raise _other(path, suite, "it does not have the classes 0 to 999")
    wrong = [k for k, label in table.items() if not _is_label(label, suite)]
    if wrong:
        raise _other(path, suite, f"class {wrong[0]} has the label {table[wrong[0]]!r}")
    return [table[str(k)] for k in range(IMAGENET_CLASSES)]


def _is_label(value: Any, suite: Suite) -> bool:
    return type(value) is int and NO_LABEL <= value < len(suite.labels)


def _other(path: Path, suite: Suite, problem: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"this is no table of class -> label: {problem}",
        where=str(path),
        choices=[f"{NO_LABEL} to {len(suite.labels) - 1} for each of 0 to {IMAGENET_CLASSES - 1}"],
    )
