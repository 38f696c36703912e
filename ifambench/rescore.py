"""Metrics again, from the stored tables alone: `ifambench score`. No torch, no model, no images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ifambench.errors import CheckFailed, EnvironmentProblem, UsageError
from ifambench.metrics.base import Tables
from ifambench.metrics.score import context_of, score_tables
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import LoadedRun, load_run, read_record, write_record

_TOLERANCE = 1e-9
_SHOWN = 8


def rescore(folder: Path, check: bool) -> RunRecord:
    """Compute every metric of a stored run again.

    Args:
        folder: The run folder.
        check: Compare with the record instead of writing it.

    Returns:
        The record with the new metrics.

    Raises:
        UsageError: If the run is not complete.
        CheckFailed: If `check` and a metric differs; names each.
    """
    stored = _complete_run(folder)
    metrics = scored(Tables(stored.predictions, stored.explanations), stored.record)
    differing = _differences(stored.record.metrics, metrics)
    if check and differing:
        raise CheckFailed(
            f"{len(differing)} metrics differ from the stored tables: "
            f"{', '.join(differing[:_SHOWN])}",
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
        if record.status == "complete":
            raise
    if record.status != "complete":
        raise UsageError(
            f"the run is {record.status}, there is nothing to score yet",
            where=str(folder),
            next_step=record.command,
        )
    return stored


def scored(tables: Tables, record: RunRecord) -> list[Metric]:
    """The metrics of a run, as they stand in its record."""
    return [Metric(**asdict(row)) for row in score_tables(tables, context_of(record))]


def _differences(old: list[Metric], new: list[Metric]) -> list[str]:
    """Names of the metrics that are missing, added or unequal."""
    before, after = ({_name(m): m for m in metrics} for metrics in (old, new))
    names = sorted(before.keys() | after.keys())
    return [n for n in names if not _same(before.get(n), after.get(n))]


def _name(metric: Metric) -> str:
    return "/".join((metric.metric, metric.variant, metric.group, metric.explainer or "-"))


def _same(a: Metric | None, b: Metric | None) -> bool:
    if a is None or b is None:
        return False
    return (a.n, a.version) == (b.n, b.version) and all(
        x == y or (x is not None and y is not None and abs(x - y) <= _TOLERANCE)
        for x, y in ((a.value, b.value), (a.ci_low, b.ci_low), (a.ci_high, b.ci_high))
    )
