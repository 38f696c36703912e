"""One process per run folder.

The lock belongs to the operating system: it ends with its process, so a run that was killed never
blocks the next one. A side file names the holder; it is information only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ifambench.atomic import write_text_atomic
from ifambench.errors import EnvironmentProblem
from ifambench.records.provenance import utc_now

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.json"


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run folder while the block runs; the folder is made when it is missing.

    Raises:
        EnvironmentProblem: If another process holds it (naming process, host and start), or the
            folder cannot be written to.
    """
    lock = _acquired(folder)
    holder = folder / HOLDER_FILE
    try:
        write_text_atomic(holder, json.dumps(_myself()))
        yield
    finally:
        # Remove while the lock is held: afterwards the files may be those of the next holder.
        for path in (holder, folder / LOCK_FILE):
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()


def _acquired(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise _held(folder) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot lock the run folder: {error.strerror or error}",
            where=str(folder),
            next_step="correct the permissions, or choose another place (--output)",
        ) from error
    return lock


def _myself() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": utc_now()}


def _held(folder: Path) -> EnvironmentProblem:
    try:
        found = json.loads((folder / HOLDER_FILE).read_text(encoding="utf-8"))
        who = f"process {found['pid']} on {found['host']}, since {found['since']}"
        pid = f" (process {found['pid']})"
    except (OSError, ValueError, KeyError, TypeError):  # not yet written, or just removed
        who, pid = "another process", ""
    return EnvironmentProblem(
        f"this run is being worked on by {who}",
        where=str(folder),
        next_step=f"wait until it has finished, or stop it{pid} and run the command again; "
        "finished parts are kept",
    )
