"""One process at a time fetches into a suite's folder; the others wait, then find the files."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ifambench.data.fetch.limits import Limits
from ifambench.data.fetch.places import private, read_json, write_json
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress

_FILE = ".fetch.lock"
_HOLDER = ".fetch.json"


@contextmanager
def fetch_lock(folder: Path, limits: Limits, progress: Progress) -> Iterator[None]:
    """Hold the folder while the block runs; the lock ends with its process.

    Raises:
        EnvironmentProblem: If another process holds it for longer than the limit.
    """
    private(folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(private(folder, _FILE))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress.message(f"waiting for {_holder(folder)}, which fetches the same suite")
        _wait(lock, folder, limits)
    try:
        write_json(private(folder, _HOLDER), {"pid": os.getpid(), "host": socket.gethostname()})
        yield
    finally:
        private(folder, _HOLDER).unlink(missing_ok=True)
        lock.release()


def _wait(lock: FileLock, folder: Path, limits: Limits) -> None:
    try:
        lock.acquire(timeout=limits.lock_seconds)
    except Timeout as error:
        raise EnvironmentProblem(
            f"{_holder(folder)} still fetches the same suite",
            where=str(folder),
            next_step="wait until it has finished, or stop it and try again",
        ) from error


def _holder(folder: Path) -> str:
    found = read_json(private(folder, _HOLDER))
    if "pid" not in found:
        return "another process"
    return f"process {found['pid']} on {found.get('host')}"
