"""`ifambench list`: the names that other commands take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli.catalogues import EXPLAINERS, METRICS, MODELS
from ifambench.cli.console import emit, note
from ifambench.cli.options import Format
from ifambench.cli.suite_list import suite_rows, suites_section
from ifambench.models.sizes import SIZES
from ifambench.registry import Entry
from ifambench.reports.section import ALWAYS, Column, Section

_SIZES = f"SIZE: {', '.join(SIZES)}. In brackets: the labels or masks a method needs."
_FORWARDS = "Forwards: forward passes per image, a backward pass counted as two; n: patches."

if TYPE_CHECKING:
    from ifambench.models.catalog import ModelChoice
    from ifambench.records.index import Damaged
    from ifambench.records.row import RunRow

_DIRECTIONS = {True: "higher", False: "lower", None: "-"}


class Kind(StrEnum):
    """What can be listed."""

    suites = "suites"
    models = "models"
    explainers = "explainers"
    metrics = "metrics"
    runs = "runs"


_NOTES = {Kind.models: _SIZES, Kind.explainers: _FORWARDS}


def command(
    kind: Annotated[
        Kind | None,
        typer.Argument(help="What to list; all but the runs when not given.", show_default=False),
    ] = None,
    output: options.OutputOption = Path("runs"),
    results: options.ResultsOption = Path("results"),
    format: options.FormatOption = Format.table,
) -> None:
    """List suites, models, explainers, metrics or stored runs."""
    kinds = [kind] if kind else [item for item in Kind if item is not Kind.runs]
    rows = {item: _rows(item, (output, results)) for item in kinds}
    data: Any = rows[kind] if kind else {item.value: rows[item] for item in kinds}
    for registry in (MODELS, EXPLAINERS, METRICS):
        note(*(f"warning: {problem}" for problem in registry.problems()))
    sections = [_section(item, rows[item]) for item in kinds if rows[item]]
    lines = [f"No {item}." for item in kinds if not rows[item]]
    lines += [text for item, text in _NOTES.items() if item in kinds]
    emit(format, data, sections, lines=lines)


def _rows(kind: Kind, roots: tuple[Path, ...]) -> list[dict[str, Any]]:
    """What is known of each thing of a kind, by column."""
    if kind is Kind.runs:
        return _runs(roots)
    found = {
        Kind.suites: suite_rows,
        Kind.models: _models,
        Kind.explainers: _explainers,
        Kind.metrics: _metrics,
    }
    return found[kind]()


def _models() -> list[dict[str, Any]]:
    """One row per family, its methods with the labels they need."""
    from ifambench.models.catalog import MODEL_REGISTRY, PUBLISHED, ModelChoice, family_name

    rows = [
        {
            "model": family_name(family[0]),
            "methods": [_method(ModelChoice(family[0], m)) for m in family[0].info["methods"]],
            "summary": family[0].summary,
        }
        for family in _families(MODEL_REGISTRY.entries().values())
    ]
    given = [
        {"model": name, "methods": ["given"], "summary": "published weights, from the hub"}
        for name in PUBLISHED
    ]
    return rows + given


def _method(choice: ModelChoice) -> str:
    """The method, and in brackets the labels it needs beyond those of the classes."""
    needed = choice.labels_needed
    return choice.method if needed == "none" else f"{choice.method} [{needed}]"


def _families(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries that differ in size alone, together."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.info.get("template", entry.name), []).append(entry)
    return list(found.values())


def _explainers() -> list[dict[str, Any]]:
    """One row per explainer, the families together."""
    entries = sorted(EXPLAINERS.entries().values(), key=lambda entry: entry.info.get("family", ""))
    return [
        {
            "explainer": entry.name,
            "family": entry.info.get("family"),
            "forwards": _forwards(entry.info.get("forwards")),
            "needs": _explainer_needs(entry.info),
            "summary": entry.summary,
        }
        for entry in entries
    ]


def _forwards(cost: Sequence[int] | None) -> str | None:
    """Forward passes per image, a + b n for n patches.

    >>> [_forwards(cost) for cost in ([3, 0], [1, 1], [0, 25], None)]
    ['3', '1 + n', '25 n', None]
    """
    if cost is None:
        return None
    fixed, per_patch = cost
    grown = "n" if per_patch == 1 else f"{per_patch} n"
    terms = [str(fixed)] * bool(fixed) + [grown] * bool(per_patch)
    return " + ".join(terms) or "0"


def _explainer_needs(info: Mapping[str, Any]) -> list[str]:
    """Capabilities of the model, and masks of the suite."""
    either = " or ".join(info.get("needs_any", ()))
    masks = ["masks of the suite"] if info.get("needs_masks") else []
    return [*info.get("needs", ()), *([either] if either else []), *masks]


def _metrics() -> list[dict[str, Any]]:
    return [
        {
            "metric": entry.name,
            "unit": entry.info.get("unit"),
            "better": _DIRECTIONS[entry.info.get("higher_is_better")],
            "version": entry.info.get("version"),
            "summary": entry.summary,
        }
        for entry in METRICS.entries().values()
    ]


def _runs(roots: tuple[Path, ...]) -> list[dict[str, Any]]:
    from ifambench.records.index import open_index

    found = []
    for index in map(open_index, dict.fromkeys(roots)):
        found += [_run(row) for row in index.rows()]
        index.save()
    return found


def _run(row: RunRow | Damaged) -> dict[str, Any]:
    from ifambench.records.index import Damaged

    if isinstance(row, Damaged):  # it must not hide the others
        return {"run": str(row.folder), "status": f"cannot be read: {row.problem.what}"}
    worst = row.values.get("worst_group_accuracy")
    value = worst.value if worst else None
    return {
        "run": str(row.folder),
        "status": row.status,
        "worst group": None if value is None else round(value, 4),
        "finished": row.finished_at,
    }


def _section(kind: Kind, rows: list[dict[str, Any]]) -> Section:
    if kind is Kind.suites:
        return suites_section(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Section(
        kind.value,
        kind.value.capitalize(),
        tuple(_column(name) for name in names),
        tuple(tuple(_cell(row.get(name)) for name in names) for row in rows),
    )


def _column(name: str) -> Column:
    """No column is left out where the width does not suffice; the widest is wrapped."""
    numeric = name in ("version", "worst group")
    return Column(name, "right" if numeric else "left", ALWAYS)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
