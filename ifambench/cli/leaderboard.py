"""`ifambench leaderboard`: rebuild the committed ranking, or check it."""

from __future__ import annotations

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
    format: options.FormatOption = Format.table,
) -> None:
    """Rank the models of all stored runs; writes LEADERBOARD.md and leaderboard.csv."""
    from ifambench import leaderboard
    from ifambench.ranking import collect, rank

    if check:
        _check(results, format)
        return
    frame = rank(collect(results))
    written = [str(path) for path in leaderboard.write(results)]
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    emit(format, {"rows": rows, "files": written}, leaderboard.leaderboard_sections(frame))
    note(*written)


def _check(results: Path, style: Format) -> None:
    from ifambench.leaderboard import check

    findings = check(results)
    lines = findings or [f"{results}: up to date"]
    annotations = dict.fromkeys(findings, "error")
    emit(style, {"findings": findings}, [], lines=lines, annotations=annotations)
    if findings:
        raise CheckFailed(
            f"{len(findings)} findings" if len(findings) > 1 else "1 finding",
            where=str(results),
            next_step=f"ifambench leaderboard --results {results}",
        )
