"""`ifambench data fetch`: download what a suite lacks, or tell how to get it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, note, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.working import stoppable
from ifambench.errors import EnvironmentProblem, UsageError

if TYPE_CHECKING:
    from ifambench.data.fetch.receipts import Receipt
    from ifambench.suites.spec import Suite


def command(
    suite: options.SuiteArgument,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence", help="You have read the licence of the data and agree to it."
        ),
    ] = False,
    optional: Annotated[
        bool,
        typer.Option("--optional", help="Fetch optional files too, for instance masks."),
    ] = False,
    offline: options.OfflineOption = False,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Download, check and unpack what is missing of a suite.

    Interrupted, it goes on where it was. What must be got by hand is told step by
    step, exit code 3.
    """
    from ifambench.data.fetch.places import target_folder
    from ifambench.suites.catalog import load_suite

    content = load_suite(suite).suite
    folder = target_folder(content, data_dir)
    if offline:
        _refuse_missing(content, data_dir, optional)
    receipts = [] if offline else _fetched(content, data_dir, accept_licence, optional)
    _tell_manual_steps(content, suite, data_dir)
    _report(content, suite, folder, data_dir, receipts, format)


def _refuse_missing(suite: Suite, data_dir: Path | None, optional: bool) -> None:
    """Offline, all that is missing is said at once."""
    from ifambench.data.fetch.state import missing_downloads

    missing = missing_downloads(suite, data_dir, optional=optional)
    if missing:
        things = "1 thing is" if len(missing) == 1 else f"{len(missing)} things are"
        raise EnvironmentProblem(
            "\n- ".join([f"{things} not on this machine", *missing]),
            where="--offline",
            next_step=f"ifambench data fetch {suite.id}, with a network",
        )


def _fetched(suite: Suite, data_dir: Path | None, accepted: bool, optional: bool) -> list[Receipt]:
    from ifambench.data.fetch import fetch_suite

    def accept(text: str) -> bool:
        note(f"Licence of {suite.id}: {text}")
        return accepted or _asked()

    with stoppable(), shown_progress(stderr()) as progress:
        return fetch_suite(suite, data_dir, accept, optional=optional, progress=progress)


def _asked() -> bool:
    """The user's answer; without a terminal nobody can answer."""
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the licence of the data must be accepted, and there is no terminal to ask",
            where="--accept-licence",
            next_step="read the licence above, then pass --accept-licence",
        )
    try:
        return typer.confirm("Do you accept it?", err=True)
    except typer.Abort:  # Ctrl-C or the end of the input
        raise KeyboardInterrupt from None


def _tell_manual_steps(suite: Suite, name: str, data_dir: Path | None) -> None:
    """What no program can fetch, in steps; the same for all that is missing by then."""
    from ifambench.data.fetch.state import lacking, manual_steps
    from ifambench.data.folders import data_state

    found = data_state(suite, data_dir)[1] is not None
    if found and not lacking(suite, data_dir):
        return
    if not found and suite.download and not lacking(suite, data_dir):
        raise _other_layout(suite, data_dir)
    fetched = found or any(item.urls for item in suite.download)
    what = "is not complete" if fetched else "cannot be fetched by a program"
    steps = manual_steps(suite, data_dir)
    numbered = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    raise EnvironmentProblem(
        "\n".join([f"{suite.id} {what} (status: {suite.status}). By hand:", *numbered]),
        where=suite.status_note or None,
        next_step=f"ifambench data verify {name}",
    )


def _other_layout(suite: Suite, data_dir: Path | None) -> EnvironmentProblem:
    from ifambench.data.fetch.places import target_folder

    assert suite.source is not None
    folder = target_folder(suite, data_dir)
    return EnvironmentProblem(
        f"all files of {suite.id} are there, but they do not hold {suite.source.marker}",
        where=str(folder),
        next_step="see what is in the folder: the archives are not laid out as the suite file says "
        "(download: strip, extract_to)",
    )


def _report(
    suite: Suite,
    name: str,
    folder: Path,
    data_dir: Path | None,
    receipts: list[Receipt],
    style: Format,
) -> None:
    from ifambench.data.fetch.state import lacking

    lines = [_line(receipt) for receipt in receipts]
    left = lacking(suite, data_dir, optional=True)
    lines += [f"optional and not fetched: {item.name} (--optional)" for item in left]
    what = "fetched" if receipts else "nothing to fetch:"
    lines.append(f"{suite.id}: {what} {folder}; check it with ifambench data verify {name}")
    data: dict[str, Any] = {
        "suite": suite.id,
        "folder": str(folder),
        "fetched": [asdict(receipt) for receipt in receipts],
        "optional": [item.name for item in left],
    }
    emit(style, data, [], lines=lines)


def _line(receipt: Receipt) -> str:
    from ifambench.data.fetch.limits import amount

    done = f"{receipt.name}: {amount(receipt.size)}"
    if receipt.published:
        return f"{done}, as published (sha256 {receipt.sha256})"
    return f"{done}, no published hash: sha256 {receipt.sha256} - compare with a second machine"
