"""An archive is unpacked beside its place, checked on the way, and then moved there.

An interrupted or refused archive leaves nothing in the place: the files lie in a temporary folder
until the last one has been written.
"""

from __future__ import annotations

import errno
import lzma
import shutil
import struct
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import BadZipFile

from ifambench.data.fetch.limits import amount, mebibytes
from ifambench.data.fetch.members import Member, Refused, members
from ifambench.data.fetch.places import PRIVATE, private
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.download import Download

MOST_MEMBERS = 5_000_000
"""Files in an archive; the largest collection of the field has 1.8 million."""

_CHUNK = 2**20
_HOLDS = 20
"""Names of a receipt."""
_DAMAGED = (
    *(tarfile.TarError, BadZipFile, EOFError, NotImplementedError, RuntimeError),
    *(zlib.error, lzma.LZMAError, struct.error, ValueError, OverflowError),
)
"""What the archive modules raise for bytes that make no sense."""


def unpack(
    archive: Path, download: Download, folder: Path, *, last: str = "", progress: Progress
) -> tuple[str, ...]:
    """Unpack an archive below a folder.

    Args:
        archive: The checked file; it is deleted if it is refused, so that it is fetched anew.
        download: Its kind, place, and bounds.
        folder: The folder of the suite.
        last: The file or folder by which the suite is known: it appears after all others.
        progress: Told about each MiB.

    Returns:
        The first names that have appeared, relative to the folder.

    Raises:
        EnvironmentProblem: If the archive is damaged, too large, or holds what it must not hold.
    """
    for left in private(folder).glob("unpack-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix="unpack-", dir=private(folder)))
    try:
        _Unpacking(temporary, download, progress).run(archive)
        return _move(temporary, folder, PurePosixPath(download.extract_to), PurePosixPath(last))
    except Refused as error:
        archive.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{download.name} is refused: {error}",
            where=" or ".join(download.urls),
            next_step="report it: the archive is not what the suite file describes",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Unpacking:
    """The files of one archive, counted while they are written: headers may lie."""

    def __init__(self, folder: Path, download: Download, progress: Progress) -> None:
        self._folder = folder
        self._download = download
        self._progress = progress
        self._bytes = 0
        self._total = self._told = 0
        self._links: set[PurePosixPath] = set()

    def run(self, archive: Path) -> None:
        """Write all members."""
        download = self._download
        self._total = mebibytes(archive.stat().st_size)
        self._progress.start("unpack", self._total)
        written = 0
        try:
            with members(archive, download.archive, download.strip, self._folder) as found:
                for count, member in enumerate(found):
                    if count >= MOST_MEMBERS:
                        raise Refused(f"it holds more than {MOST_MEMBERS:,} files")
                    if member.name:
                        self._write(member)
                        written += 1
        except _DAMAGED as error:
            raise Refused(f"it is damaged ({error or type(error).__name__})") from error
        except OSError as error:
            if error.errno in (None, errno.EINVAL):  # gzip's bad checksum; a place before the start
                raise Refused(f"it is damaged ({error})") from error
            raise
        if not written:
            raise Refused("it holds no file")
        self._check_links()
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        """Images hardly shrink when they are packed: the size of the archive is near enough."""
        steps = min(done, self._total) - self._told
        self._told += steps
        self._progress.advance(steps, f"{self._download.name}, MiB")

    def _check_links(self) -> None:
        """Now that all links are there: none leads out by way of another one."""
        root = self._folder.resolve()
        for link in sorted(self._links):
            if not (self._folder / link).resolve().is_relative_to(root):
                raise Refused(f"{str(link)!r} is a link out of the folder, by way of another one")

    def _write(self, member: Member) -> None:
        name = PurePosixPath(member.name)
        through = next((parent for parent in name.parents if parent in self._links), None)
        if through is not None:
            raise Refused(f"{member.name!r} lies behind the link {str(through)!r}")
        if name.parts[0].casefold() == PRIVATE:
            raise Refused(f"{member.name!r} is a name of our own")
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fill(member, path)
        except (FileExistsError, NotADirectoryError) as error:
            raise Refused(f"{member.name!r} is there twice") from error

    def _fill(self, member: Member, path: Path) -> None:
        if member.kind == "link":
            path.symlink_to(member.target)
            self._links.add(PurePosixPath(member.name))
        elif member.kind == "same":
            with self._other(member).open("rb") as content:
                self._copy(content, path)
        elif member.content is not None:
            self._copy(member.content, path)

    def _other(self, member: Member) -> Path:
        """The member that a hard link means: a file that is already there, not through a link."""
        target = PurePosixPath(member.target)
        path = self._folder / target
        linked = self._links & {target, *target.parents}
        if not member.target or linked or not path.is_file():
            raise Refused(f"{member.name!r} is a link to {member.target!r}, which is not in it")
        return path

    def _copy(self, content: IO[bytes], path: Path) -> None:
        """Plain new files: never over another one, with the permissions of the user's own."""
        with path.open("xb") as file:
            while chunk := content.read(_CHUNK):
                self._bytes += len(chunk)
                if self._bytes > self._download.unpacked_bytes:
                    limit = amount(self._download.unpacked_bytes)
                    raise Refused(f"it unpacks to more than {limit}")
                file.write(chunk)
                self._tell(mebibytes(self._bytes))


def _move(source: Path, folder: Path, below: PurePosixPath, last: PurePosixPath) -> tuple[str, ...]:
    """Merge the temporary tree into the suite's folder; whole folders move in one step."""
    moved: list[str] = []
    for item in _ordered(source, below, last):
        _merge(item, folder / below / item.name, folder, last, moved)
    return tuple(moved[:_HOLDS])


def _merge(source: Path, target: Path, folder: Path, last: PurePosixPath, moved: list[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    name = PurePosixPath(target.relative_to(folder).as_posix())
    if target.is_dir() and source.is_dir() and not source.is_symlink():
        for item in _ordered(source, name, last):
            _merge(item, target / item.name, folder, last, moved)
        return
    if target.is_dir() and not target.is_symlink():
        raise Refused(f"{str(name)!r} is a file, but a folder lies in its place")
    if source.is_dir() and not source.is_symlink() and target.exists():
        raise Refused(f"{str(name)!r} is a folder, but a file lies in its place")
    source.replace(target)
    moved.append(str(name))


def _ordered(source: Path, below: PurePosixPath, last: PurePosixPath) -> list[Path]:
    """Sorted, but what makes the suite's folder known comes at the end."""
    marks = {last, *last.parents}
    return sorted(source.iterdir(), key=lambda item: (below / item.name in marks, item.name))
