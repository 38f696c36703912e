"""What an archive may hold: names that stay inside, no devices, bounded in number and size."""

from __future__ import annotations

import gzip
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal, cast
from zipfile import ZipFile, ZipInfo

from ifambench.suites.parts import is_inside

_ENCRYPTED = 0x1
_LONGEST = 4096
_PADDING_CHUNKS = 64


class Refused(Exception):
    """The archive holds what it must not hold; the text names the member."""


@dataclass(frozen=True)
class Member:
    """A member of an archive that is no folder.

    Attributes:
        name: Where it belongs, safe and without the stripped folders; "" when nothing is left.
        kind: `file`, `link` (symbolic) or `same` (a hard link).
        target: Of a link as it stands there, of a hard link the name of the other member.
        content: The bytes of a file.
    """

    name: str
    kind: Literal["file", "link", "same"]
    target: str = ""
    content: IO[bytes] | None = None


@contextmanager
def members(path: Path, archive: str, strip: int, folder: Path) -> Iterator[Iterator[Member]]:
    """The members of an archive in their order; each content is to be read before the next.

    Args:
        path: The archive.
        archive: `tar`, `tar.gz` or `zip`.
        strip: Leading folders that are left out.
        folder: Where it will be unpacked, for the checks of `tarfile`.

    Raises:
        Refused: While iterating, at the first member that is not safe.
    """
    if archive == "zip":
        with ZipFile(path) as file:
            yield _of_zip(file, strip)
    else:
        with _plain(path, archive) as plain, tarfile.open(fileobj=plain, mode="r|") as stream:
            yield _of_tar(stream, strip, folder)
            _read_to_end(plain)


def _plain(path: Path, archive: str) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if archive == "tar.gz" else path.open("rb")


def _read_to_end(plain: IO[bytes]) -> None:
    """Behind its last member a tar has only padding; gzip's checksum comes at the very end."""
    for _ in range(_PADDING_CHUNKS):
        if not plain.read(2**20):
            return
    raise Refused("it goes on for long behind its last member")


def _of_tar(archive: tarfile.TarFile, strip: int, folder: Path) -> Iterator[Member]:
    while (info := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # else millions are kept
        name = _safe(info.name, strip)
        if info.isdir():
            continue
        if not (info.isreg() or info.issym() or info.islnk()):
            raise Refused(f"{info.name!r} is a device or a pipe")
        member = _tar_member(archive, info, name, strip)
        _refused_by_python(info, folder)
        yield member


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str, strip: int) -> Member:
    if info.issym():
        return Member(name, "link", _link(name, info))
    if info.islnk():
        return Member(name, "same", _safe(info.linkname, strip))
    return Member(name, "file", content=archive.extractfile(info))


def _refused_by_python(info: tarfile.TarInfo, folder: Path) -> None:
    """The checks of `tarfile` itself, on top of ours; the first 3.11 releases lack them."""
    if not hasattr(tarfile, "data_filter"):
        return
    try:
        tarfile.data_filter(info, str(folder))
    except tarfile.FilterError as error:
        raise Refused(str(error)) from error


def _link(name: str, info: tarfile.TarInfo) -> str:
    """The target of a symbolic link, which must not leave the folder from where the link lies."""
    target = info.linkname
    if not target or "\0" in target or "\\" in target or PurePosixPath(target).is_absolute():
        raise Refused(f"{info.name!r} is a link to {target!r}")
    depth = len(PurePosixPath(name).parent.parts)
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            raise Refused(f"{info.name!r} is a link out of the folder, to {target!r}")
    return target


def _of_zip(archive: ZipFile, strip: int) -> Iterator[Member]:
    for info in archive.infolist():
        name = _safe(info.filename, strip)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        _refuse_zip_member(info, kind)
        with archive.open(info) as content:
            yield Member(name, "file", content=content)


def _refuse_zip_member(info: ZipInfo, kind: int) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise Refused(f"{info.filename!r} is encrypted")
    if kind not in (0, stat.S_IFREG):
        raise Refused(f"{info.filename!r} is a link, a device or a pipe")


def _safe(name: str, strip: int) -> str:
    """The name without its leading folders; "" when nothing is left.

    >>> _safe("./birds/images/1.jpg", 1)
    'images/1.jpg'
    """
    if not name or "\0" in name or len(name) > _LONGEST:
        raise Refused(f"{name[:80]!r} is no name of a file")
    if not is_inside(name) or name.startswith("/"):
        raise Refused(f"{name!r} leads out of the folder")
    return "/".join(PurePosixPath(name).parts[strip:])
