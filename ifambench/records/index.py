"""An index of run records, so that thousands are listed and ranked without reading each.

It lies in `.ifambench-index/` in the folder that was searched and can be deleted at any time. It is
never the source of a number, only a copy of what a record said when it was last read whole: a copy
is used only while the file has the same size, modification time, change time and inode, as git
does. The change time is set by the system, so an edit that puts the old modification time back is
seen too. Files changed within the last seconds are read again next time, because a second change
could carry the same times. An index that is damaged, of another version of this code or not
readable counts as none; where it cannot be written, all works without it.
`ifambench leaderboard --check` does not look at it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ifambench.atomic import replace_whole
from ifambench.errors import EnvironmentProblem
from ifambench.records.key import code_digest
from ifambench.records.places import run_places
from ifambench.records.record import RECORD_FILE, read_record
from ifambench.records.row import RunRow, plain, restored, row_of

INDEX_FOLDER = ".ifambench-index"

_FILE, _IGNORE = "runs.json", ".gitignore"
_SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was read is not remembered; FAT keeps even seconds."""

Stat = list[int]


@dataclass(frozen=True)
class Damaged:
    """A run whose record cannot be read, and why."""

    folder: Path
    problem: EnvironmentProblem


@dataclass
class RunIndex:
    """The runs below a folder, and what is remembered of them.

    Attributes:
        root: The folder.
        lines: By place, a line of JSON: the state of the record file, its row, a note on the run.
        read: How many records had to be read.
    """

    root: Path
    lines: dict[str, bytes] = field(default_factory=dict)
    read: int = 0
    _is_new: bool = False

    def rows(self) -> Iterator[RunRow | Damaged]:
        """One row per run, sorted by place; `Damaged` where a record cannot be read."""
        before, self.lines = self.lines, {}
        for names in run_places(self.root):
            folder, place = Path(self.root, *names), "/".join(names) or "."
            yield self._row(folder, place, before.pop(place, b""))
        self._is_new |= bool(before)

    def note(self, row: RunRow, key: str, files: list[Path], find: Callable[[], Any]) -> Any:
        """What `find` says of a run, remembered while its record and these files are unchanged.

        Args:
            row: A row of this index.
            key: What else the answer depends on.
            files: The files that are looked at; one that is missing counts as such.
            find: Gives plain JSON data.
        """
        entry = _entry(self.lines.get(row.place, b""))
        now, states = time.time_ns(), [_state(path) for path in files]
        if entry and isinstance(entry[2], list) and entry[2][:2] == [key, states]:
            return entry[2][2]
        answer = find()
        if entry and all(_is_settled(state, now) for state in states):
            self._keep(row.place, [entry[0], entry[1], [key, states, answer]])
        return answer

    def save(self) -> None:
        """Write the index if it has changed; silently not where that is impossible."""
        if not self._is_new:
            return
        pairs = (json.dumps(place).encode() + b"\t" + line for place, line in self.lines.items())
        body = b"\n".join(pairs)
        head = json.dumps([_version(), hashlib.sha256(body).hexdigest()]).encode()
        folder = self.root / INDEX_FOLDER
        with contextlib.suppress(OSError):
            if not (folder / _IGNORE).exists():
                replace_whole(folder / _IGNORE, lambda file: file.write(b"*\n"))
            replace_whole(folder / _FILE, lambda file: file.write(head + b"\n" + body))
            self._is_new = False

    def _row(self, folder: Path, place: str, line: bytes) -> RunRow | Damaged:
        now, state = time.time_ns(), _state(folder / RECORD_FILE)
        if (entry := _entry(line)) and state is not None and entry[0] == state:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                row = restored(entry[1], folder, place)
                self.lines[place] = line
                return row
        self.read += 1
        try:
            row = row_of(read_record(folder), folder, place)
        except EnvironmentProblem as problem:
            self._is_new |= bool(line)
            return Damaged(folder, problem)
        if _is_settled(state, now):
            self._keep(place, [state, plain(row), None])
        return row

    def _keep(self, place: str, entry: list[Any]) -> None:
        self.lines[place] = json.dumps(entry, separators=(",", ":")).encode()
        self._is_new = True


def open_index(root: Path) -> RunIndex:
    """The index of the runs below a folder; empty when there is none that can be used."""
    return RunIndex(root, _stored(root / INDEX_FOLDER / _FILE))


def all_rows(root: Path) -> Iterator[RunRow | Damaged]:
    """As `RunIndex.rows`, from the records alone."""
    return RunIndex(root).rows()


def _stored(path: Path) -> dict[str, bytes]:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        version, digest = json.loads(head)
        if version != _version() or digest != hashlib.sha256(body).hexdigest():
            return {}
        pairs = [line.partition(b"\t") for line in body.split(b"\n")]
        return {json.loads(place): line for place, _, line in pairs}
    except (OSError, ValueError, TypeError):
        return {}


def _entry(line: bytes) -> list[Any] | None:
    """State, row and note of a line; None for what is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, list) and len(found) == 3 else None


def _version() -> str:
    """Rows are those of this code: any change of the records' code makes a new index."""
    return code_digest(("records",))


def _state(path: Path) -> Stat | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _is_settled(state: Stat | None, now: int) -> bool:
    """Whether a later change must show; a missing file shows when it appears."""
    return state is None or max(state[1], state[2]) < now - _SETTLED_NS
