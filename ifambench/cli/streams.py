"""The streams of the process, made fit for whatever a command prints."""

from __future__ import annotations

import contextlib
import os
import sys

_NARROWEST = 20


def prepare_streams() -> None:
    """Make the streams take whatever is printed, and forget a width that holds no table."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        with contextlib.suppress(AttributeError):  # a stream of a test or a notebook
            getattr(sys, name).reconfigure(errors="backslashreplace")
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) < _NARROWEST:
        del os.environ["COLUMNS"]
