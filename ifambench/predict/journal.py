"""A journal of finished chunks, so that long work that was stopped goes on where it was.

One JSON document per line. The first line holds the key of the work; each further line one
finished chunk. A line counts when it is whole: what a killed process left half-written is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ifambench.errors import EnvironmentProblem
from ifambench.records.key import digest

Row = dict[str, Any]


class Journal:
    """Finished chunks of one piece of work, kept in a file.

    Args:
        path: The file; folders are made.
        key: What the rows depend on (data, weights, settings) as plain text, for instance a
            digest. A file with another key is replaced.

    Raises:
        EnvironmentProblem: If the file cannot be read or written.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self._chunks: dict[str, list[Row]] = {}
        with _explained(path):
            self._open()

    def get(self, chunk: str) -> list[Row] | None:
        """The rows of a finished chunk, or None."""
        return self._chunks.get(chunk)

    def put(self, chunk: str, rows: list[Row]) -> None:
        """Keep the rows of a chunk; they are on the disk when this returns.

        Args:
            chunk: Its name; it must say which items the rows are of.
            rows: Plain JSON data without NaN; floats come back exactly.
        """
        line = _line({"chunk": chunk, "rows": rows})
        with _explained(self.path):
            _append(self.path, line)
        self._chunks[chunk] = rows

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read()
        if whole:
            os.truncate(self.path, whole)
        else:
            self.path.unlink(missing_ok=True)
            _append(self.path, _line({"key": self._key}))

    def _read(self) -> int:
        """Load the chunks; returns the bytes up to the end of the last whole line, 0 if foreign."""
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        header = _parse(lines[0]) if lines else None
        if header != {"key": self._key}:
            return 0
        whole = len(lines[0])
        for line in lines[1:]:
            entry = _parse(line)
            if entry is None or entry.keys() != {"chunk", "rows"}:
                break
            self._chunks[entry["chunk"]] = entry["rows"]
            whole += len(line)
        return whole


def chunk_name(prefix: str, rows: pd.DataFrame) -> str:
    """A name that says which images and variants a chunk is of."""
    images = zip(rows["id"], rows["variant"], strict=True)
    return f"{prefix}/{digest([list(image) for image in images])}"


def finished(journal: Journal | None, chunk: str, make: Callable[[], list[Row]]) -> list[Row]:
    """The rows of a chunk, from the journal if they are there, else made and kept."""
    rows = journal.get(chunk) if journal else None
    if rows is None:
        rows = make()
        if journal:
            journal.put(chunk, rows)
    return rows


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns a failing file operation into an error for the user."""
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot keep the journal: {error.strerror or error}",
            where=str(path),
            next_step="free space or correct the permissions, then run again",
        ) from error


def _line(entry: Row) -> bytes:
    return json.dumps(entry, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _parse(line: bytes) -> Row | None:
    """The entry of a line, or None if the line is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:  # also a broken UTF-8 sequence
        return None
    return entry if isinstance(entry, dict) else None


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
