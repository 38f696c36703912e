"""`ifambench report`: write the reports of a stored run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, note
from ifambench.cli.options import Format
from ifambench.errors import UsageError


def command(
    run: options.RunArgument,
    open_: Annotated[
        bool,
        typer.Option(
            "--open", help="Open the report in the browser.", rich_help_panel=options.OUTPUT_PANEL
        ),
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write the stored tables as Parquet too.")
    ] = False,
    hub_yaml: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Write .eval_results/SUITE.yaml for this benchmark dataset of the Hugging Face "
            "Hub too; nothing is uploaded.",
            show_default=False,
        ),
    ] = None,
    hub_source: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the run can be seen, for --hub-yaml.", show_default=False
        ),
    ] = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Write report.md and report.html of a run and print their paths.

    With --format markdown, github, comment, csv or latex, the report itself is printed.
    """
    from ifambench.reports.write import write_reports

    if hub_source and not hub_yaml:
        raise UsageError("--hub-source has no effect without --hub-yaml")
    extra = [_hub_yaml(run, hub_yaml, hub_source)] if hub_yaml else []
    written = write_reports(run)
    page = written[-1]
    if parquet:
        from ifambench.reports.parquet import write_parquet

        written += write_parquet(run)
    _show(format, run, [str(path) for path in written + extra])
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _hub_yaml(run: Path, dataset: str, source: str | None) -> Path:
    from ifambench.reports.hub import write_hub_yaml

    return write_hub_yaml(run, dataset, source)


def _show(style: Format, run: Path, written: list[str]) -> None:
    """The paths, or the report in a format that is to be read elsewhere."""
    if style in (Format.table, Format.json):
        emit(style, {"reports": written}, [], lines=written)
        return
    from ifambench.records.store import load_run
    from ifambench.reports.markdown import report_lines, report_sections
    from ifambench.reports.summary import title, warnings

    loaded = load_run(run)
    emit(
        style,
        loaded.record.model_dump(mode="json"),
        report_sections(loaded),
        heading=title(loaded.record),
        lines=report_lines(loaded.record),
        annotations=dict.fromkeys(warnings(loaded.record), "warning"),
    )
    note(*written)
