"""`ifambench doctor`: can this machine run the benchmark?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format
from ifambench.errors import EnvironmentProblem
from ifambench.reports.section import ALWAYS, Column, Section


def command(
    output: options.OutputOption = Path("runs"),
    format: options.FormatOption = Format.table,
) -> None:
    """Check versions, devices, folders and weights, and run every model on one batch.

    Exit code 3 when something essential is broken.
    """
    from ifambench.doctor import examine

    findings = examine(output)
    columns = (
        Column("part", "left", ALWAYS),
        Column("what", "left", ALWAYS),
        Column("state", "left", ALWAYS),
        Column("found", "left", ALWAYS),
    )
    rows = tuple((item.part, item.what, item.state, item.found) for item in findings)
    levels = {"warning": "warning", "broken": "error"}
    emit(
        format,
        [asdict(item) for item in findings],
        [Section("doctor", "Environment", columns, rows)],
        annotations={
            f"{item.what}: {item.found}": levels[item.state]
            for item in findings
            if item.state in levels
        },
    )
    broken = [item for item in findings if item.state == "broken"]
    if broken:
        raise EnvironmentProblem(
            f"{len(broken)} essential parts are broken" if len(broken) > 1 else "1 part is broken",
            where="; ".join(f"{item.what}: {item.found}" for item in broken),
            next_step=broken[0].fix or None,
        )
