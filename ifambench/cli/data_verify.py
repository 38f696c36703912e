"""`ifambench data verify`: are the images on this machine those of the suite?"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.errors import CheckFailed

if TYPE_CHECKING:
    from ifambench.data.verify import Finding
    from ifambench.suites.spec import Suite

_SHOWN = 10
"""Findings of each kind that are shown; JSON has all."""


def command(
    suite: options.SuiteArgument,
    fast: Annotated[
        bool, typer.Option("--fast", help="Look at lists and names only, open no image.")
    ] = False,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Check counts, fingerprints, every image and mask, and duplicates across splits.

    Exit code 1 on findings, 3 when there are no data. Near duplicates are a note, no finding.
    """
    from ifambench.data.folders import find_data_folder
    from ifambench.data.verify import verify_suite
    from ifambench.errors import UsageError
    from ifambench.suites.catalog import load_suite

    content = load_suite(suite).suite
    if content.source is None:
        raise UsageError(
            f"{content.id} is generated: it has no files",
            next_step=f"ifambench validate {suite}",
        )
    folder = find_data_folder(content, data_dir)
    with shown_progress(stderr()) as progress:
        found = verify_suite(content, folder, progress, fast=fast, data_dir=data_dir)
    errors = [item for item in found if item.level == "error"]
    lines = [*_lines(found), _summary(len(errors), fast)]
    data = {
        "suite": content.id,
        "folder": str(folder),
        "fast": fast,
        "findings": [asdict(item) for item in found],
    }
    annotations = {_line(item): "error" for item in errors[:_SHOWN]}
    emit(format, data, [], lines=lines, annotations=annotations)
    if errors:
        raise CheckFailed(
            _summary(len(errors), fast=False),
            where=str(folder),
            next_step=_remedy(content, suite),
        )


def _lines(found: Sequence[Finding]) -> list[str]:
    """The first findings of each kind, then how many more there are."""
    lines, shown = [], Counter[str]()
    for item in found:
        shown[item.kind] += 1
        if shown[item.kind] <= _SHOWN:
            lines.append(_line(item))
        elif shown[item.kind] == _SHOWN + 1:
            more = sum(other.kind == item.kind for other in found) - _SHOWN
            lines.append(f"{item.kind}: {more:,} more (--format json has all)")
    return lines


def _line(item: Finding) -> str:
    remark = " (note)" if item.level == "note" else ""
    return f"{item.kind}{remark}: {item.where}: {item.detail}"


def _summary(errors: int, fast: bool) -> str:
    counted = {0: "no findings", 1: "1 finding"}.get(errors, f"{errors:,} findings")
    return counted + ("; images were not opened (--fast)" if fast else "")


def _remedy(suite: Suite, name: str) -> str:
    """What helps: the files again, or another suite file."""
    again = shlex.join(["ifambench", "data", "fetch", name]) if suite.download else ""
    got = f"move the folder away and get the data again ({again})" if again else "correct the data"
    return f"{got}, or correct the suite file"
