"""What is shown of a run record, and the exit code it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from ifambench.cli.console import emit, note
from ifambench.cli.options import Format
from ifambench.errors import EXIT_PARTIAL

if TYPE_CHECKING:
    from ifambench.records.schema import RunRecord


def emit_record(
    style: Format,
    record: RunRecord,
    data: Any = None,
    lines: Sequence[str] = (),
) -> None:
    """The summary tables of a record below what was run.

    Args:
        style: The format.
        record: The run record.
        data: What `json` shows; the record when None.
        lines: Text below the tables.
    """
    from ifambench.reports.summary import title, warnings
    from ifambench.reports.tables import summary_tables

    emit(
        style,
        record.model_dump(mode="json") if data is None else data,
        summary_tables(record),
        heading=f"{title(record)} (protocol {record.protocol.name}, seed {record.seed})",
        lines=lines,
        annotations=dict.fromkeys(warnings(record), "warning"),
    )


def finish(record: RunRecord) -> None:
    """Show the warnings of a run on stderr, and leave with code 5 when a part is missing.

    Raises:
        typer.Exit: If the run is not complete.
    """
    from ifambench.reports.summary import warnings

    note(*(f"warning: {text}" for text in warnings(record)))
    if record.status != "complete":
        note(f"the run is {record.status}: not all of it could be measured")
        raise typer.Exit(EXIT_PARTIAL)
