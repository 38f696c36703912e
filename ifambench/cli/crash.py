"""A bug in ifambench: the traceback goes to a file, one line to stderr."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from ifambench import __version__
from ifambench.cli.console import note
from ifambench.errors import EXIT_INTERNAL
from ifambench.settings import cache_folder


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
