"""`ifambench score`: compute all metrics of a stored run again, from its tables alone."""

from __future__ import annotations

from typing import Annotated

import typer

from ifambench.cli import options
from ifambench.cli.options import Format
from ifambench.cli.run_view import emit_record, finish


def command(
    run: options.RunArgument,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; fail when a number differs from the record."),
    ] = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Compute all metrics again from the stored predictions; no model is needed.

    Without --check the record and the reports get the new numbers.
    """
    from ifambench.reports.write import write_reports
    from ifambench.rescore import rescore

    record = rescore(run, check)
    if not check:
        write_reports(run)
    emit_record(format, record)
    finish(record)
