"""Where the files of a download lie, and how small JSON files are written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ifambench.atomic import replace_whole
from ifambench.data.folders import data_root, data_state
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.download import Download
from ifambench.suites.spec import Suite

PRIVATE = ".ifambench"
"""Folder within a suite's folder for everything that is not data."""


def target_folder(suite: Suite, data_dir: Path | None = None) -> Path:
    """The folder of a suite: where its data are, else where they are fetched to.

    Raises:
        UsageError: If the suite is generated.
    """
    if suite.source is None:
        raise UsageError(
            f"{suite.id} is generated: it has no files to fetch",
            next_step=f"ifambench validate {suite.id}",
        )
    found = data_state(suite, data_dir)[1]
    return found or data_root(data_dir) / suite.source.folders[0]


def private(folder: Path, name: str = "") -> Path:
    """A file of ours within a suite's folder."""
    return folder / PRIVATE / name


def file_target(folder: Path, download: Download) -> Path:
    """Where a file that is no archive is put: `extract_to` is a folder, or with a suffix a file."""
    place = PurePosixPath(download.extract_to)
    return folder / place if place.suffix else folder / place / download.name


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """A small file, whole or not at all."""
    text = json.dumps(data, indent=2) + "\n"
    replace_whole(path, lambda file: file.write(text.encode("utf-8")))


def read_json(path: Path) -> dict[str, Any]:
    """The content of such a file; nothing when it is absent or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def explained_disk(folder: Path) -> Iterator[None]:
    """What the system raises for a full or read-only disk, as an error with the folder."""
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write the data: {error.strerror or error}",
            where=str(error.filename or folder),
            next_step="free space or correct the permissions, or choose another place "
            "(--data-dir); what was fetched is kept",
        ) from error
