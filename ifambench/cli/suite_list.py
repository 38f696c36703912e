"""The suites as a table: what each has, and whether its images are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ifambench.errors import IfamBenchError
from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.suites.spec import Suite

_COLUMNS = {
    "suite": Column("suite", "left", ALWAYS),
    "version": Column("version", priority=3),
    "kind": Column("kind", "left", 4),
    "classes": Column("classes", priority=ALWAYS),
    "groups": Column("groups", priority=ALWAYS),
    "test images": Column("test", priority=ALWAYS),
    "masks": Column("masks", "left", ALWAYS),
    "status": Column("status", "left", ALWAYS),
    "data": Column("data", "left", ALWAYS),
    "title": Column("title", "left", 2),
}
_LEGEND = (
    "test: images of the test split. masks: extra: not part of the data, to be added.",
    "status: whether the data can be had: ok, by hand (manual), with an account (gated), in part, "
    "or not at all.",
    "data: whether they are on this machine.",
)


def suite_rows() -> list[dict[str, Any]]:
    """What is known of each suite; one that cannot be read does not hide the others."""
    from ifambench.suites.catalog import load_suite, suite_names

    rows: list[dict[str, Any]] = []
    for name in suite_names():
        try:
            rows.append({"suite": name, **_facts(load_suite(name).suite)})
        except IfamBenchError as error:
            rows.append({"suite": name, "summary": f"cannot be read: {error.what}"})
    return rows


def suites_section(rows: Iterable[Mapping[str, Any]]) -> Section:
    """The rows as a table that fits 80 columns; a suite that cannot be read says so."""
    cells = tuple(tuple(_cell(row, name) for name in _COLUMNS) for row in rows)
    return Section("suites", "Suites", tuple(_COLUMNS.values()), cells, _LEGEND)


def mask_word(suite: Suite) -> str:
    """Whether a suite has true masks: `yes`, `extra` (they may be absent) or `no`."""
    if suite.source is None:
        return "yes"
    if suite.source.mask_root is None:
        return "no"
    return "extra" if suite.source.masks_optional else "yes"


def _facts(suite: Suite) -> dict[str, Any]:
    from ifambench.data.folders import data_state

    return {
        "version": suite.version,
        "kind": suite.kind,
        "classes": len(suite.labels),
        "groups": len(suite.groups.names),
        "test images": suite.splits["test"] or None,
        "masks": mask_word(suite),
        "status": suite.status,
        "data": data_state(suite)[0],
        "title": suite.title,
        "summary": suite.summary,
    }


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "cannot be read" if name == "data" and "version" not in row else "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
