"""Which report of a run a page can link to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from ifambench.records.record import RECORD_FILE

_PAGE, _TEXT = "report.html", "report.md"
_SECONDS = 20


def report_links(root: Path, places: Iterable[str]) -> dict[str, str]:
    """The address of each run's report relative to `root`, by the place of the run.

    The HTML report where it is there, else the Markdown one; runs without either are left out. A
    report that git ignores beside a record that it does not ignore is as good as not there: the
    page would be another one in every checkout.
    """
    names = list(dict.fromkeys(places))
    with_page = [place for place in names if os.path.isfile(f"{root}/{place}/{_PAGE}")]
    shown = set(with_page) - _private_pages(root, with_page)
    found = {}
    for place in names:
        if place in shown:
            found[place] = quote(f"{place}/{_PAGE}")
        elif os.path.isfile(f"{root}/{place}/{_TEXT}"):
            found[place] = quote(f"{place}/{_TEXT}")
    return found


def _private_pages(root: Path, places: list[str]) -> set[str]:
    """The places whose page git ignores, though not the record."""
    asked = [f"{place}/{name}" for place in places for name in (_PAGE, RECORD_FILE)]
    ignored = _ignored(root, asked)
    return {
        place
        for place in places
        if f"{place}/{_PAGE}" in ignored and f"{place}/{RECORD_FILE}" not in ignored
    }


def _ignored(root: Path, paths: list[str]) -> set[str]:
    """The paths that git ignores; none outside a repository or without git."""
    if not paths:
        return set()
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "check-ignore", "-z", "--stdin"],
            input=b"\0".join(map(os.fsencode, paths)),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    return {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
