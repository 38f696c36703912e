"""Write a file whole or not at all.

The content goes to a temporary file in the same directory, is forced to disk, and then takes the
final name in one step; a reader, or a run that is killed, never sees half a file.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ifambench.errors import EnvironmentProblem

_MODE = 0o666


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`; see `write_atomic`."""
    write_atomic(path, lambda file: file.write(data))


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that becomes `path`, whole or not at all; missing folders are made.

    Raises:
        EnvironmentProblem: If the place cannot be written to. What was there before is unchanged
            and no temporary file is left.
    """
    try:
        replace_whole(path, write)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write {path.name}: {error.strerror or error}",
            where=str(path),
            next_step="free space or correct the permissions, or choose another place (--output)",
        ) from error


def replace_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """As `write_atomic`, for callers that explain failures themselves.

    Raises:
        OSError: As the system says.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_MODE & ~_umask())  # mkstemp makes files that only the owner can read
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_folder(folder: Path) -> None:
    """Force the new name to disk too, where the file system allows it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
