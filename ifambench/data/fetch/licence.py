"""The licence of the data is shown once per suite, and acknowledged before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ifambench.data.fetch.places import private, read_json, write_json
from ifambench.errors import UsageError
from ifambench.suites.spec import Suite

_FILE = ".licence.json"


def licence_text(suite: Suite) -> str:
    """What is acknowledged: the licence of the suite, and those of its downloads that differ."""
    lines = [suite.licence]
    lines += [
        f"{download.name}: {download.licence}"
        for download in suite.download
        if download.licence and download.licence != suite.licence
    ]
    return "\n".join(lines)


def acknowledge(suite: Suite, folder: Path, accept: Callable[[str], bool]) -> None:
    """Ask for the licence unless this very text was accepted for this folder before.

    Args:
        suite: The suite.
        folder: Its folder, where the answer is kept.
        accept: Shows the text and tells whether the user agrees.

    Raises:
        UsageError: If the user does not agree.
    """
    text, path = licence_text(suite), private(folder, _FILE)
    if read_json(path).get("licence") == text:
        return
    if not accept(text):
        raise UsageError(
            f"the licence of {suite.id} was not accepted, nothing was fetched",
            where=text.replace("\n", "; "),
            next_step="read it, then pass --accept-licence",
        )
    write_json(path, {"licence": text, "accepted": datetime.now(UTC).isoformat(timespec="seconds")})
