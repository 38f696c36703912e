"""Where runs lie below a folder: a walk that stops at the depth of a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ifambench.records.record import RECORD_FILE

Place = tuple[str, ...]
"""The names of the folders from the root to a run folder."""

_DEPTH = 5
"""<output>, suite, model, protocol and seed: the deepest root from which runs are found."""


def run_places(root: Path) -> list[Place]:
    """The places of all run records from `root` down to the depth of a run folder, sorted.

    A folder that cannot be read is passed over.
    """
    return sorted(_below(os.fspath(root), ()))


def _below(folder: str, place: Place) -> Iterator[Place]:
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    if any(entry.name == RECORD_FILE for entry in entries):
        yield place
    if len(place) < _DEPTH:
        for entry in entries:
            if _is_folder(entry):
                yield from _below(entry.path, (*place, entry.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
