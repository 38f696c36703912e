"""`ifambench data list`: which suites can be had, and which are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format
from ifambench.errors import IfamBenchError
from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.suites.spec import Suite


def command(
    data_dir: options.DataDirOption = None, format: options.FormatOption = Format.table
) -> None:
    """List all suites: whether their images are here, what is to be downloaded, the licence."""
    from ifambench.suites.catalog import suite_names

    rows = [_row(name, data_dir) for name in suite_names()]
    columns = (
        Column("suite", "left", ALWAYS),
        Column("status", "left", ALWAYS),
        Column("data", "left", ALWAYS),
        Column("to download", "right", ALWAYS),
        Column("licence", "left", ALWAYS),
    )
    cells = tuple(
        (row["suite"], row["status"], row["data"], _download(row), row["licence"]) for row in rows
    )
    lines = [
        "status: ok and partial: ifambench data fetch SUITE; manual, gated, unobtainable: it tells "
        "the steps."
    ]
    emit(format, rows, [Section("data", "Data of suites", columns, cells)], lines=lines)


def _row(name: str, data_dir: Path | None) -> dict[str, Any]:
    from ifambench.suites.catalog import load_suite

    try:
        suite = load_suite(name).suite
    except IfamBenchError as error:  # a broken suite must not hide the others
        unknown = ("folder", "missing", "download_bytes", "sizes_unknown", "by_hand")
        row = {"suite": name, "status": "broken", "data": error.what, "licence": ""}
        return row | dict.fromkeys(unknown)
    return _known(suite, data_dir)


def _known(suite: Suite, data_dir: Path | None) -> dict[str, Any]:
    from ifambench.data.fetch.state import lacking, missing_downloads
    from ifambench.data.folders import data_state

    state, folder = data_state(suite, data_dir)
    wanted = lacking(suite, data_dir) if suite.source is not None else []
    automatic = [item for item in wanted if item.urls]
    return {
        "suite": suite.id,
        "status": "generated" if suite.source is None else suite.status,
        "data": "incomplete" if wanted and state == "found" else state,
        "folder": None if folder is None else str(folder),
        "download_bytes": sum(item.size_bytes or 0 for item in automatic),
        "sizes_unknown": sum(item.size_bytes is None for item in automatic),
        "by_hand": state == "not found" and len(automatic) < max(len(wanted), 1),
        "missing": missing_downloads(suite, data_dir, variants=()),
        "licence": suite.licence,
    }


def _download(row: dict[str, Any]) -> str:
    """What `data fetch` would download, in a word."""
    from ifambench.data.fetch.limits import amount

    parts = []
    if row["download_bytes"]:
        parts.append(("at least " if row["sizes_unknown"] else "") + amount(row["download_bytes"]))
    elif row["sizes_unknown"]:
        parts.append("size not known")
    if row["by_hand"]:
        parts.append("by hand")
    return ", ".join(parts) or "-"
