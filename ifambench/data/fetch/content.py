"""Is a file what it should be: magic bytes, size, hash."""

from __future__ import annotations

import hashlib
import html
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ifambench.data.fetch.limits import MirrorFailed, amount
from ifambench.suites.download import Download

HEAD = 64 * 1024
"""Bytes that are looked at; the title of a page is found in them."""

_CHUNK = 2**20
_MAGIC = {
    ".zip": (b"PK\x03\x04", b"PK\x05\x06"),
    ".npz": (b"PK\x03\x04", b"PK\x05\x06"),
    ".tar.gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".gz": (b"\x1f\x8b",),
    ".npy": (b"\x93NUMPY",),
    ".png": (b"\x89PNG",),
    ".jpg": (b"\xff\xd8\xff",),
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".hdf5": (b"\x89HDF\r\n\x1a\n",),
}
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml[^>]*\?>\s*<(!doctype html|html|error))")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>|<message>(.*?)</message>", re.I | re.S)
_JSON = re.compile(rb'\s*[{\[]\s*("|\{|\}|\])')


@dataclass(frozen=True)
class Digests:
    """Size and hashes of a file."""

    size: int
    sha256: str
    md5: str


def digests(path: Path) -> Digests:
    """Size, sha256 and md5 of a file, in one pass."""
    strong, weak, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            strong.update(chunk)
            weak.update(chunk)
            size += len(chunk)
    return Digests(size, strong.hexdigest(), weak.hexdigest())


def check_head(head: bytes, download: Download) -> None:
    """Refuse a page, or another kind of file, by the first bytes.

    Args:
        head: The beginning of the file, `HEAD` bytes if it has so many.
        download: What is wanted.

    Raises:
        MirrorFailed: Quoting the title of the page, or the beginning of the JSON.
    """
    if not head:
        raise MirrorFailed("the file is empty", again=False)
    kind = _kind(download)
    if _PAGE.match(head[:512].lower()) and kind not in (".html", ".xml"):
        raise MirrorFailed(f"a web page came instead of the file: {_title(head)}", again=False)
    if _JSON.match(head[:512]) and kind != ".json":
        beginning = head[:120].decode("utf-8", "replace").strip()
        raise MirrorFailed(f"JSON came instead of the file: {beginning}", again=False)
    right = _is_tar(head) if kind == ".tar" else head.startswith(_MAGIC.get(kind, (b"",)))
    if not right:
        raise MirrorFailed(
            f"it is no {kind[1:]} file (it begins with {head[:8].hex(' ')})", again=False
        )


def check_whole(path: Path, download: Download) -> Digests:
    """Check a fetched file against everything the suite file says of it.

    Raises:
        MirrorFailed: Naming what differs.
    """
    with path.open("rb") as file:
        check_head(file.read(HEAD), download)
    found = digests(path)
    check_size(found.size, download)
    for name in ("sha256", "md5"):
        wanted, value = getattr(download, name), getattr(found, name)
        if wanted is not None and wanted != value:
            raise MirrorFailed(f"its {name} is {value}, not {wanted}", again=False)
    return found


def check_size(size: int, download: Download) -> None:
    """Refuse a file of another size than the suite file says.

    Raises:
        MirrorFailed: Naming both sizes.
    """
    if download.size_bytes is not None and size != download.size_bytes:
        raise MirrorFailed(
            f"it has {size:,} bytes ({amount(size)}), not {download.size_bytes:,}", again=False
        )


def _kind(download: Download) -> str:
    """The suffix that tells the kind of file, `.tar.gz` as one."""
    if download.archive != "none":
        return f".{download.archive}"
    name = Path(download.extract_to or download.name).name
    name = name if "." in name else download.name
    return ".tar.gz" if name.endswith(".tar.gz") else Path(name).suffix.lower()


def _is_tar(head: bytes) -> bool:
    """Whether the first header has a right checksum; tar files have no magic bytes of old."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _title(head: bytes) -> str:
    found = _TITLE.search(head.decode("utf-8", "replace"))
    text = next((part for part in found.groups() if part is not None), "") if found else ""
    shown = " ".join(html.unescape(text).split())[:100]
    return f'"{shown}"' if shown else "without a title"
