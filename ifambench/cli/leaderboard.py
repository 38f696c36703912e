"""`ifambench leaderboard`: rebuild the committed ranking, or check it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, note
from ifambench.cli.options import Format
from ifambench.errors import CheckFailed


def command(
    results: options.ResultsOption = Path("results"),
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; fail when the files or a number are out of date."
        ),
    ] = False,
    badges: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write a badge per ranked model below this folder (JSON for the endpoint "
            "scheme of shields.io); with --check, check them.",
            show_default=False,
        ),
    ] = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Rank the models of all stored runs; writes LEADERBOARD.md, leaderboard.csv and .html."""
    from ifambench.board import build, leaderboard_sections, store

    if check:
        _check(results, badges, format)
        return
    made = build(results, badges)
    written = [str(path) for path in store(made)]
    rows = made.frame.astype(object).where(made.frame.notna(), None).to_dict("records")
    emit(format, {"rows": rows, "files": written}, leaderboard_sections(made.frame))
    note(*written)


def _check(results: Path, badges: Path | None, style: Format) -> None:
    from ifambench.board import check

    findings = check(results, badges)
    lines = findings or [f"{results}: up to date"]
    annotations = dict.fromkeys(findings, "error")
    emit(style, {"findings": findings}, [], lines=lines, annotations=annotations)
    words = ["--results", str(results)] + (["--badges", str(badges)] if badges else [])
    if findings:
        raise CheckFailed(
            f"{len(findings)} findings" if len(findings) > 1 else "1 finding",
            where=str(results),
            next_step=shlex.join(["ifambench", "leaderboard", *words]),
        )
