"""`ifambench report`: write the reports of a stored run again."""

from __future__ import annotations

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format


def command(
    run: options.RunArgument,
    open_: options.OpenOption = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Write report.md and report.html of a run and print their paths."""
    from ifambench.reports.write import write_reports

    written = write_reports(run)
    emit(format, {"reports": [str(path) for path in written]}, [], lines=[*map(str, written)])
    if open_:
        import webbrowser

        webbrowser.open(written[-1].resolve().as_uri())
