"""One file from the first mirror that gives it, checked before it counts as there."""

from __future__ import annotations

import time
from pathlib import Path

from ifambench.data.fetch.content import Digests, check_whole
from ifambench.data.fetch.drive import drive_urls, from_hub
from ifambench.data.fetch.limits import Limits, MirrorFailed
from ifambench.data.fetch.partial import Partial
from ifambench.data.fetch.transfer import transfer
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.download import Download


def fetch_file(
    download: Download, path: Path, limits: Limits, progress: Progress
) -> tuple[str, Digests]:
    """Fetch a file; only a whole one that passes all checks takes the name `path`.

    A partial file of an earlier attempt is continued, its mirror is asked first.

    Returns:
        The URL that gave it, and size and hashes.

    Raises:
        EnvironmentProblem: If no mirror gives it, with the reason of each.
    """
    partial = Partial(path.with_name(path.name + ".part"))
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in _urls(download, partial):
        try:
            found = _from_mirror(url, partial, download, limits, progress)
        except MirrorFailed as error:
            reasons.append(f"{url}: {error.reason}")
            progress.message(f"{download.name}: {url}: {error.reason}")
            continue
        partial.take(path)
        return url, found
    raise EnvironmentProblem(
        f"{download.name} cannot be fetched",
        where="; ".join(reasons),
        next_step=_advice(download, path),
    )


def _urls(download: Download, partial: Partial) -> list[str]:
    urls = list(download.urls)
    if download.kind == "gdrive":
        urls = [address for url in urls for address in drive_urls(url)]
    begun = partial.origin
    return sorted(urls, key=lambda url: begun is None or url != begun.url)


def _from_mirror(
    url: str, partial: Partial, download: Download, limits: Limits, progress: Progress
) -> Digests:
    """Attempts at one mirror, each going on where the one before has ended."""
    failed = 0
    while True:
        before = partial.size
        try:
            return _attempt(url, partial, download, limits, progress)
        except MirrorFailed as error:
            failed = 0 if partial.size - before >= limits.worthwhile_bytes else failed + 1
            if not error.again or failed >= limits.attempts:
                raise
        time.sleep(limits.backoff(max(failed - 1, 0)))


def _attempt(
    url: str, partial: Partial, download: Download, limits: Limits, progress: Progress
) -> Digests:
    if url.startswith("hf://"):
        from_hub(url, partial)
        continued = False
    else:
        continued = transfer(url, partial, download, limits, progress)
    try:
        return check_whole(partial.path, download)
    except MirrorFailed as error:
        partial.discard()
        # The beginning may be of another file: a file fetched in one go is the server's last word.
        raise MirrorFailed(error.reason, again=continued) from error


def _advice(download: Download, path: Path) -> str:
    if download.kind == "gdrive":
        return (
            "Google Drive answers with a page when a file was fetched too often: try again "
            f"tomorrow, or get the file with a browser and put it at {path}"
        )
    if download.account:
        return "the host wants an account: log in there (hf auth login for the hub), then try again"
    return (
        f"try again later (what was fetched is kept), or get the file yourself and put it at {path}"
    )
