"""Unexpected errors: what the machine refuses is told, a bug leaves its traceback in a file."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from ifambench import __version__
from ifambench.cli.console import note
from ifambench.errors import EXIT_INTERNAL, EnvironmentProblem
from ifambench.settings import cache_folder

_ALLOCATOR = "DefaultCPUAllocator"
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENAMETOOLONG}


def machine_problem(error: Exception) -> EnvironmentProblem | None:
    """What the machine refuses, as an error for users; None where it may be a bug."""
    if _is_out_of_memory(error):
        said = str(error).partition(f"{_ALLOCATOR}: ")[2] or str(error)
        return EnvironmentProblem(
            f"not enough memory: {' '.join(said.split()) or 'the process got no more'}",
            next_step="take fewer images at once (--batch-size; in training "
            "MODEL@batch_size=N), or a smaller --size",
        )
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENOSPC:
        return EnvironmentProblem("no space left on the device that is written to")
    if error.errno not in _REFUSED:
        return None
    where = None if error.filename is None else str(error.filename)
    return EnvironmentProblem(f"the system refuses: {error.strerror}", where=where)


def _is_out_of_memory(error: Exception) -> bool:
    """Also of torch, whose CPU allocator has no error of its own."""
    named = type(error).__name__ == "OutOfMemoryError" or _ALLOCATOR in str(error)
    return isinstance(error, MemoryError) or named


def report_crash(error: BaseException) -> int:
    """Write the traceback of an unexpected error to a file and return exit code 4."""
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    text = "\n".join(
        [
            f"ifambench {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"command: {' '.join(sys.argv)}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    note(f"error: internal error, {summary} (traceback: {_written(text)})")
    return EXIT_INTERNAL


def _written(text: str) -> str:
    """The file with the text, in the cache folder or where else it can be written."""
    for folder in (cache_folder(), Path(tempfile.gettempdir())):
        path = folder / f"ifambench-crash-{os.getpid()}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return str(path)
    return "could not be written"
