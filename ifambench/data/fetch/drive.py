"""Addresses of files that are not plain: Google Drive, and the hub."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import parse_qs, urlsplit

from ifambench.data.fetch.limits import MirrorFailed
from ifambench.data.fetch.partial import Partial
from ifambench.suites.parts import is_inside

HUB = "hf://datasets/"
_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
_FILE = re.compile(r"/file/d/([\w-]+)")


def drive_urls(url: str) -> list[str]:
    """The addresses behind which Google Drive gives the file itself, not a page that asks back.

    >>> drive_urls("https://drive.google.com/file/d/AB-1/view")[0]
    'https://drive.usercontent.google.com/download?id=AB-1&export=download&confirm=t'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]  # no address at all, as the request will say
    if parts.hostname not in _HOSTS:
        return [url, f"{url}{'&' if parts.query else '?'}confirm=t"]
    found = _FILE.search(parts.path)
    ids = [found[1]] if found else parse_qs(parts.query).get("id", [])
    if not ids:
        return [url]
    query = f"id={ids[0]}&export=download&confirm=t"
    return [
        f"https://drive.usercontent.google.com/download?{query}",
        f"https://drive.google.com/uc?{query}",
    ]


def from_hub(url: str, partial: Partial) -> None:
    """A file `hf://datasets/OWNER/REPO[@REVISION]/FILE`, with the token that the hub's client has.

    The hub's client resumes by itself, in a folder beside the partial file.

    Raises:
        MirrorFailed: With the first line of what the client says.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    repository, revision, name = _hub_file(url)
    folder = partial.path.with_name("hub")
    # What the HTTP library beneath the client raises, whichever it is.
    beneath = cast("tuple[type[Exception], ...]", (OSError, ValueError, *HfHubHTTPError.__bases__))
    try:
        path = hf_hub_download(
            repository, name, repo_type="dataset", revision=revision, local_dir=folder
        )
    except beneath as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MirrorFailed(reason, again=False) from error
    partial.discard()
    Path(path).replace(partial.path)


def _hub_file(url: str) -> tuple[str, str | None, str]:
    owner, _, rest = url.removeprefix(HUB).partition("/")
    repository, _, name = rest.partition("/")
    repository, _, revision = repository.partition("@")
    good = owner and repository and name and is_inside(name) and PurePosixPath(name).name
    if not url.startswith(HUB) or not good:
        raise MirrorFailed(f"is not {HUB}OWNER/REPO/FILE", again=False)
    return f"{owner}/{repository}", revision or None, name
