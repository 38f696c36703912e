"""`ifambench report`: write the reports of a stored run again."""

from __future__ import annotations

from typing import Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format


def command(
    run: options.RunArgument,
    open_: options.OpenOption = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write the stored tables as Parquet too.")
    ] = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Write report.md and report.html of a run and print their paths."""
    from ifambench.reports.write import write_reports

    written = write_reports(run)
    page = written[-1]
    if parquet:
        from ifambench.reports.parquet import write_parquet

        written += write_parquet(run)
    emit(format, {"reports": [str(path) for path in written]}, [], lines=[*map(str, written)])
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
