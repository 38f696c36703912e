"""One attempt to fetch one URL, from where the attempt before has ended."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from http.client import HTTPResponse

from ifambench.data.fetch.content import HEAD, check_head, check_size
from ifambench.data.fetch.limits import Limits, MirrorFailed, amount, mebibytes
from ifambench.data.fetch.partial import Origin, Partial
from ifambench.data.fetch.request import body, open_url
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.download import Download

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_HTTP_PARTIAL = 206
_HTTP_NO_SUCH_RANGE = 416


def transfer(
    url: str, partial: Partial, download: Download, limits: Limits, progress: Progress
) -> bool:
    """Fetch a URL into a partial file, to its end.

    The end is only believed when it is where the server, or the suite file, says. Interrupted by
    anything, Ctrl-C included, the partial file can be resumed.

    Returns:
        Whether the file was continued, rather than fetched from its beginning.

    Raises:
        MirrorFailed: If the file did not come whole.
        EnvironmentProblem: If the disk has not enough room.
    """
    origin = _resumable(partial, url, download)
    if origin is not None and partial.size == origin.length:
        return True  # interrupted between its last byte and its check
    with _answer(url, partial, origin, limits) as answer:
        if answer.status == _HTTP_PARTIAL and origin is not None:
            _refuse_other_part(answer, origin, partial)
            chunks, total = body(answer, limits), origin.length
        else:
            origin = None
            chunks, total = _from_beginning(url, answer, partial, download, limits)
        _write(chunks, partial, total, download, progress)
    return origin is not None


def _resumable(partial: Partial, url: str, download: Download) -> Origin | None:
    """What the partial file is of, if a changed file would be noticed."""
    origin = partial.origin
    if origin is None or origin.url != url or origin.length is None:
        return None
    hashed = download.sha256 is not None or download.md5 is not None
    return origin if origin.validator or hashed else None


def _answer(url: str, partial: Partial, origin: Origin | None, limits: Limits) -> HTTPResponse:
    headers = {}
    if origin is not None:
        headers["Range"] = f"bytes={partial.size}-"
        if origin.validator:
            headers["If-Range"] = origin.validator
    try:
        return open_url(url, headers, limits)
    except MirrorFailed as error:
        if error.status == _HTTP_NO_SUCH_RANGE and origin is not None:
            partial.discard()
            raise _changed() from error
        raise


def _refuse_other_part(answer: HTTPResponse, origin: Origin, partial: Partial) -> None:
    """The answer must go on where the partial file ends, within the same file."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    now = _origin(origin.url, answer, origin.length)
    whole = found is not None and found[3] in ("*", str(origin.length))
    same = (not now.etag or now.etag == origin.etag) and (
        not now.modified or not origin.modified or now.modified == origin.modified
    )
    if found is None or int(found[1]) != partial.size or not whole or not same:
        partial.discard()
        raise _changed()


def _changed() -> MirrorFailed:
    return MirrorFailed("the file has changed on the server since it was begun", again=True)


def _from_beginning(
    url: str, answer: HTTPResponse, partial: Partial, download: Download, limits: Limits
) -> tuple[Iterator[bytes], int | None]:
    """All chunks and the length, when the beginning is that of the file."""
    if answer.status == _HTTP_PARTIAL:
        raise MirrorFailed("it sent a part of the file without being asked", again=False)
    chunks = body(answer, limits)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    check_head(head, download)
    total = _length(answer)
    if total is not None:
        check_size(total, download)
    _refuse_full_disk(partial, total or download.size_bytes or 0, download)
    partial.begin(_origin(url, answer, total))
    return itertools.chain([head], chunks), total


def _write(
    chunks: Iterator[bytes],
    partial: Partial,
    total: int | None,
    download: Download,
    progress: Progress,
) -> None:
    expected = total if total is not None else download.size_bytes
    size = partial.size
    progress.start("download", mebibytes(expected or 0))
    progress.advance(mebibytes(size), download.name)
    with partial.path.open("ab") as file:
        for chunk in chunks:
            file.write(chunk)
            done, size = mebibytes(size), size + len(chunk)
            if expected is not None and size > expected:
                break
            progress.advance(mebibytes(size) - done, f"{download.name}, MiB")
    if expected is not None and size > expected:
        partial.discard()
        raise MirrorFailed(f"more than the {expected:,} bytes it should have", again=False)
    if expected is not None and size < expected:
        raise MirrorFailed(
            f"the connection ended after {amount(size)} of {amount(expected)}", again=True
        )


def _refuse_full_disk(partial: Partial, size: int, download: Download) -> None:
    """An archive takes its place twice, at least: packed and unpacked."""
    needed = size * (1 if download.archive == "none" else 2)
    free = shutil.disk_usage(partial.path.parent).free + partial.size
    if needed > free:
        raise EnvironmentProblem(
            f"{download.name} needs {amount(needed)}, {amount(free)} are free",
            where=str(partial.path.parent),
            next_step="free space, or choose another place (--data-dir)",
        )


def _length(answer: HTTPResponse) -> int | None:
    text = answer.headers.get("Content-Length", "")
    chunked = answer.headers.get("Transfer-Encoding") is not None
    return int(text) if text.isdecimal() and len(text) < 19 and not chunked else None


def _origin(url: str, answer: HTTPResponse, length: int | None) -> Origin:
    etag = answer.headers.get("ETag", "")
    strong = etag if etag.startswith('"') else ""
    return Origin(url, strong, answer.headers.get("Last-Modified", ""), length)
