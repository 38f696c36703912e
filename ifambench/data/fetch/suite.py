"""All files of a suite: licence, lock, download, unpacking, receipts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ifambench.data.fetch.content import Digests, check_whole
from ifambench.data.fetch.licence import acknowledge
from ifambench.data.fetch.limits import Limits, MirrorFailed
from ifambench.data.fetch.lock import fetch_lock
from ifambench.data.fetch.mirrors import fetch_file
from ifambench.data.fetch.places import explained_disk, file_target, private, target_folder
from ifambench.data.fetch.receipts import Receipt, begin, read_receipt, write_receipt
from ifambench.data.fetch.state import lacking
from ifambench.data.fetch.unpack import unpack
from ifambench.progress import Progress
from ifambench.suites.download import Download
from ifambench.suites.spec import Suite


def fetch_suite(
    suite: Suite,
    data_dir: Path | None,
    accept: Callable[[str], bool],
    *,
    optional: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> list[Receipt]:
    """Fetch what is missing of a suite into its folder; what is there is not touched.

    Args:
        suite: A suite that is read from files.
        data_dir: The data folder, or None for the default places.
        accept: Shows the licence and tells whether the user agrees; asked once per suite.
        optional: Fetch optional files too.
        limits: Times and attempts.
        progress: Told about downloads and unpacking.

    Returns:
        A receipt for each file that was missing; those to be got by hand have none.

    Raises:
        UsageError: If the suite is generated, or the licence was not accepted.
        EnvironmentProblem: If a file cannot be had, is not the right one, is a malicious archive,
            or the disk is full.
    """
    limits, progress = limits or Limits(), progress or Progress()
    folder = target_folder(suite, data_dir)
    wanted = [item for item in lacking(suite, data_dir, optional=optional) if item.urls]
    if not wanted:
        return []
    with explained_disk(folder):
        acknowledge(suite, folder, accept)
        with fetch_lock(folder, limits, progress):
            # Another process may have fetched some while this one waited.
            there = {item.name: read_receipt(folder, item) for item in wanted}
            begin(folder, [item for item in wanted if there[item.name] is None])
            return [
                there[item.name] or _fetched(item, suite, folder, limits, progress)
                for item in wanted
            ]


def _fetched(
    download: Download, suite: Suite, folder: Path, limits: Limits, progress: Progress
) -> Receipt:
    """One download in its place."""
    path = private(folder, f"files/{download.name}")
    url, found = _whole_file(download, path, limits, progress)
    holds = _placed(download, path, suite, folder, progress)
    receipt = write_receipt(folder, download, url, found, holds)
    path.unlink(missing_ok=True)
    shutil.rmtree(private(folder, "hub"), ignore_errors=True)
    return receipt


def _whole_file(
    download: Download, path: Path, limits: Limits, progress: Progress
) -> tuple[str, Digests]:
    """The checked file: of an earlier fetch that was interrupted, by the user's hand, or new."""
    if path.is_file():
        try:
            return "", check_whole(path, download)
        except MirrorFailed as error:
            progress.message(f"{path}: {error.reason}; it is fetched anew")
    return fetch_file(download, path, limits, progress)


def _placed(
    download: Download, path: Path, suite: Suite, folder: Path, progress: Progress
) -> tuple[str, ...]:
    """Where the content of a checked file has gone, relative to the suite's folder."""
    if download.archive == "none":
        target = file_target(folder, download)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        return (target.relative_to(folder).as_posix(),)
    assert suite.source is not None
    return unpack(path, download, folder, last=suite.source.marker, progress=progress)
