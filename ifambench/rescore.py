"""Metrics again, from the stored tables alone: `ifambench score`. No torch, no model, no images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from ifambench.errors import CheckFailed, EnvironmentProblem, UsageError
from ifambench.metrics.base import Tables
from ifambench.metrics.score import context_of, score_tables
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import LoadedRun, load_run, read_record, write_record

MINIMA = (
    *("worst_group_accuracy", "worst_class_accuracy", "minority_worst_accuracy"),
    "averaged_worst_group_accuracy",
)
"""Metrics whose group says where the minimum is attained."""

_TOLERANCE = 1e-9
_EXACT = ("n", "version", "group", "unit", "higher_is_better", "ci_method")
_SCORED = ("complete", "partial")
_SHOWN = 3
_DIRECTIONS = {True: "higher is better", False: "lower is better", None: "no direction"}
_Key = tuple[str, str, str, str | None]


def rescore(folder: Path, check: bool) -> RunRecord:
    """Compute every metric of a stored run again.

    Args:
        folder: The run folder.
        check: Compare with the record instead of writing it.

    Returns:
        The record with the new metrics.

    Raises:
        UsageError: If the run is not finished; a partial one is.
        CheckFailed: If `check` and a metric differs; names each.
    """
    stored = _complete_run(folder)
    metrics = scored(stored.tables, stored.record)
    differing = metric_differences(stored.record.metrics, metrics)
    if check and differing:
        raise CheckFailed(
            f"{len(differing)} metrics differ from the stored tables: "
            f"{'; '.join(differing[:_SHOWN])}",
            where=str(stored.folder / "run.json"),
            next_step=f"ifambench score {stored.folder}",
        )
    record = stored.record.model_copy(update={"metrics": metrics})
    if not check:
        write_record(stored.folder, record)
    return record


def _complete_run(folder: Path) -> LoadedRun:
    try:
        stored = load_run(folder)
        record = stored.record
    except EnvironmentProblem:
        record = read_record(folder)  # an unfinished run has no tables yet
        if record.status in _SCORED:
            raise
    if record.status not in _SCORED:
        raise UsageError(
            f"the run is {record.status}, there is nothing to score yet",
            where=str(folder),
            next_step=record.command,
        )
    return stored


def scored(tables: Tables, record: RunRecord) -> list[Metric]:
    """The metrics of a run, as they stand in its record."""
    return [Metric(**asdict(row)) for row in score_tables(tables, context_of(record))]


def metric_differences(stored: Iterable[Metric], fresh: Iterable[Metric]) -> list[str]:
    """One line per metric whose value, limits, n, group, version, unit or direction differ.

    Numbers agree to 1e-9. A metric that the record has more than once differs, whatever its rows
    are: reports show one of them.
    """
    listed, computed = list(stored), list(fresh)
    before, after = ({_key(row): row for row in rows} for rows in (listed, computed))
    found = {key: (before.get(key), after.get(key)) for key in [*before, *after]}
    times = Counter(map(_key, listed))
    return [
        *(f"{_place(key)} is in the record {n} times" for key, n in times.items() if n > 1),
        *(
            f"{_place(key)} is {_shown(old)}, the tables give {_shown(new)}"
            for key, (old, new) in found.items()
            if not _agree(old, new)
        ),
    ]


def _key(row: Metric) -> _Key:
    """Which number a row is; the worst group or class is a result, not a part of the name."""
    group = "all" if row.metric in MINIMA else row.group
    return row.metric, group, row.variant, row.explainer


def _agree(stored: Metric | None, fresh: Metric | None) -> bool:
    if stored is None or fresh is None:
        return False
    if any(getattr(stored, key) != getattr(fresh, key) for key in _EXACT):
        return False
    pairs = [(getattr(stored, key), getattr(fresh, key)) for key in ("value", "ci_low", "ci_high")]
    return all(
        a == b or (a is not None and b is not None and abs(a - b) <= _TOLERANCE) for a, b in pairs
    )


def _place(key: _Key) -> str:
    metric, group, variant, explainer = key
    parts = [explainer, None if variant == "original" else variant, group]
    return f"{metric} ({', '.join(part for part in parts if part)})"


def _shown(row: Metric | None) -> str:
    if row is None:
        return "absent"
    limits = f"[{row.ci_low}, {row.ci_high}]"
    told = f"n {row.n}, group {row.group}, version {row.version}, unit {row.unit}"
    return f"{row.value} {limits} ({row.ci_method}), {told}, {_DIRECTIONS[row.higher_is_better]}"
