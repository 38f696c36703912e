"""What was fetched: a receipt per download, written when its files are in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ifambench.data.fetch.content import Digests
from ifambench.data.fetch.places import private, read_json, write_json
from ifambench.suites.download import Download


@dataclass(frozen=True)
class Receipt:
    """A download that is there.

    Attributes:
        name: Of the download.
        url: The mirror that gave it; empty for a file the user put there.
        size: Bytes of the fetched file.
        sha256: Of the fetched file.
        md5: Of the fetched file.
        published: Whether the suite file has a hash that it was checked against.
        time: When, in UTC.
        holds: First files or folders that it brought, relative to the suite's folder.
    """

    name: str
    url: str
    size: int
    sha256: str
    md5: str
    published: bool
    time: str
    holds: tuple[str, ...]


def read_receipt(folder: Path, download: Download) -> Receipt | None:
    """The receipt of a download; None when it is not there, incomplete, or of another file."""
    found: dict[str, Any] = read_json(_receipt(folder, download))
    try:
        receipt = Receipt(**{**found, "holds": tuple(map(str, found["holds"]))})
    except (KeyError, TypeError):
        return None
    wanted = [(download.sha256, receipt.sha256), (download.md5, receipt.md5)]
    same = all(promised in (None, value) for promised, value in wanted)
    return receipt if same and all((folder / name).exists() for name in receipt.holds) else None


def write_receipt(
    folder: Path, download: Download, url: str, found: Digests, holds: tuple[str, ...]
) -> Receipt:
    """The last act of a fetch; before it, the download is not there."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    published = download.sha256 is not None or download.md5 is not None
    receipt = Receipt(
        download.name, url, found.size, found.sha256, found.md5, published, now, holds
    )
    write_json(_receipt(folder, download), asdict(receipt))
    _begun(folder, download).unlink(missing_ok=True)
    return receipt


def begin(folder: Path, downloads: Iterable[Download]) -> None:
    """From now on these are there only with a receipt, whatever else lies in the folder."""
    for download in downloads:
        _receipt(folder, download).unlink(missing_ok=True)
        _begun(folder, download).touch()


def was_fetched(folder: Path, download: Download) -> bool:
    """Whether a fetch of it has begun; else the user may have put it there by hand."""
    return _begun(folder, download).exists() or _receipt(folder, download).exists()


def _receipt(folder: Path, download: Download) -> Path:
    return private(folder, f"{download.name}.json")


def _begun(folder: Path, download: Download) -> Path:
    return private(folder, f"{download.name}.begun")
