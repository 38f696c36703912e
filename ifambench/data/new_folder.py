"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifambench.errors import EnvironmentProblem, UsageError

_MODE = 0o777


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, that takes the name `target` when the block ends without an error.

    Raises:
        UsageError: If something is at `target` already; it is never overwritten.
        EnvironmentProblem: If the place cannot be written to; then nothing is left behind.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(
            "there is something already", where=str(target), next_step="choose another --out"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield temporary
        temporary.chmod(_MODE & ~_umask())  # mkdtemp makes folders that only the owner can read
        if target.exists():
            target.rmdir()  # it is empty
        temporary.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _unwritable(target: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"cannot write the folder: {error.strerror or error}",
        where=str(target),
        next_step="free space or correct the permissions, or choose another --out",
    )
