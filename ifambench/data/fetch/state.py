"""What of a suite is missing on this machine; nothing is fetched or read to find out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ifambench.data.fetch.limits import amount
from ifambench.data.fetch.places import file_target, target_folder
from ifambench.data.fetch.receipts import read_receipt, was_fetched
from ifambench.data.folders import VARIABLE, data_root, data_state
from ifambench.suites.download import Download
from ifambench.suites.spec import ORIGINAL, Suite
from ifambench.suites.variant import FilesVariant, SwapVariant

VARIABLE_OFFLINE = "IFAMBENCH_OFFLINE"


def missing_downloads(
    suite: Suite,
    data_dir: Path | None = None,
    variants: Iterable[str] | None = None,
    *,
    optional: bool = False,
) -> list[str]:
    """A line for everything that must be had before the suite can be run: file, size, where from.

    Args:
        suite: Any suite; a generated one lacks nothing.
        data_dir: The data folder, or None for the default places.
        variants: Variants that are wanted; all of the suite by default.
        optional: List optional downloads too.
    """
    if suite.source is None:
        return []
    lines = [line_of(item) for item in lacking(suite, data_dir, optional=optional)]
    if not lines and data_state(suite, data_dir)[1] is None:
        lines = [f"images of {suite.id}: {how_to_get(suite)}"]
    return lines + _other_folders(suite, data_dir, variants)


def lacking(
    suite: Suite, data_dir: Path | None = None, *, optional: bool = False
) -> list[Download]:
    """The downloads that are not there, in the order of the suite file."""
    folder = target_folder(suite, data_dir)
    found = data_state(suite, data_dir)[1] is not None
    wanted = [item for item in suite.download if optional or not item.optional]
    return [item for item in wanted if not _is_there(item, folder, found)]


def line_of(download: Download) -> str:
    """One download in a line."""
    size = amount(download.size_bytes) if download.size_bytes else "size not known"
    origin = "by hand" if download.kind == "manual" else " or ".join(download.urls)
    remarks = [size]
    remarks += ["optional"] if download.optional else []
    remarks += ["needs an account"] if download.account else []
    return f"{download.name} ({', '.join(remarks)}): {origin}"


def how_to_get(suite: Suite) -> str:
    """What the suite file says about getting the data, in a sentence."""
    assert suite.source is not None
    source = suite.source
    hints = [source.how_to_get, suite.status_note, f"see {source.homepage}" * bool(source.homepage)]
    return next((hint for hint in hints if hint), "get the data")


def manual_steps(suite: Suite, data_dir: Path | None = None) -> list[str]:
    """What a user does by hand, step by step; the last step says where the data belong."""
    assert suite.source is not None
    steps = [how_to_get(suite)]
    steps += [
        f"{item.name}: {item.instructions}"
        for item in lacking(suite, data_dir)
        if item.kind == "manual"
    ]
    root, name = data_root(data_dir), suite.source.folders[0]
    marker = suite.source.marker or "the images"
    last = f"put the data into {root / name}, so that {root / name / marker} is there"
    return [*dict.fromkeys(steps), f"{last} (another place: --data-dir DIR or {VARIABLE})"]


def _is_there(download: Download, folder: Path, found: bool) -> bool:
    """By its receipt; what was put there by hand is trusted where the suite's marker is found."""
    if download.kind == "manual":
        file = download.archive == "none" and file_target(folder, download).is_file()
        return found or file
    if was_fetched(folder, download):
        return read_receipt(folder, download) is not None
    return found and (not download.optional or _trace(download, folder))


def _trace(download: Download, folder: Path) -> bool:
    """Whether an optional download was put there by hand, as far as its place tells."""
    if download.archive == "none":
        return file_target(folder, download).is_file()
    return bool(download.extract_to) and (folder / download.extract_to).is_dir()


def _other_folders(
    suite: Suite, data_dir: Path | None, variants: Iterable[str] | None
) -> list[str]:
    """Folders of variants and pools that lie beside the suite's own."""
    names = None if variants is None else set(variants) - {ORIGINAL}
    chosen = [item for item in suite.variant if names is None or item.id in names]
    wanted = {
        f"variant {item.id}": item.folders
        for item in chosen
        if isinstance(item, FilesVariant) and item.folders
    }
    used = {item.pool for item in chosen if isinstance(item, SwapVariant)}
    wanted |= {f"pool {item.name}": item.folders for item in suite.pool if item.name in used}
    roots = [data_root(data_dir), target_folder(suite, data_dir)]
    return [
        f"{what} of {suite.id}: no folder {' or '.join(folders)} below {roots[0]}"
        for what, folders in wanted.items()
        if not any((root / name).is_dir() for root in roots for name in folders)
    ]
