"""Rank models by the primary metric of the protocol, from the run records.

One row is one model on one suite (id and major version) under one protocol, aggregated over its
training seeds. Ranks are by the mean of the primary metric, the largest first or the smallest,
whichever is better, and models that cannot be told apart share one: going down the list, a model
gets the rank of the leader above it unless the 95 % interval of their difference excludes 0, in
which case it takes its own position and leads from there on. With two or more seeds on both sides
that interval is Welch's over seeds; else it is the interval of a difference of two independent
numbers (MOVER) from their limits, averaged over seeds. Single runs whose metric has no interval
cannot be told apart.

Runs that are not complete, that were selected on the test split, that have another size than the
default or whose protocol is not ranked are listed apart, without a rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ifambench.comparable import headline
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.deletion import FLOOR
from ifambench.metrics.uncertainty import welch
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import find_runs, read_record
from ifambench.reports.rows import label

CONTROLS = frozenset({FLOOR, "center", "uniform"})
"""Explainers that know nothing about the model; never a model's best explainer."""

PREDICTION_METRICS = (
    *("worst_group_accuracy", "accuracy", "group_mean_accuracy"),
    *("adjusted_accuracy", "bg_gap"),
)
_FAR = 1e9
"""Limit of a number without an interval."""

_STATISTICS = ("_mean", "_std", "_min")
_IDENTITY = (
    *("suite", "protocol", "primary", "model", "method", "labels_needed", "selection"),
    "unranked",
)
_BOARD = ("suite", "protocol", "primary")
COLUMNS = (
    *("suite", "protocol", "rank", "model", "method", "labels_needed", "selection", "seeds"),
    *("primary", *(f"primary{kind}" for kind in _STATISTICS)),
    *(f"{name}{kind}" for name in PREDICTION_METRICS for kind in _STATISTICS),
    *(f"mask_iou{kind}" for kind in _STATISTICS),
    "explainer",
    *(f"srg{kind}" for kind in _STATISTICS),
    "unranked",
)


@dataclass(frozen=True)
class StoredRun:
    """A run record and the folder it lies in."""

    folder: Path
    record: RunRecord


def collect(results_dir: Path) -> list[StoredRun]:
    """All run records below a folder, by path; only `run.json` is read.

    Raises:
        UsageError: If the folder does not exist.
        EnvironmentProblem: If a record is damaged, naming the file and the key.
    """
    if not results_dir.is_dir():
        raise UsageError(
            "no such results folder", where=str(results_dir), next_step="ifambench run SUITE"
        )
    return [StoredRun(folder, read_record(folder)) for folder in find_runs(results_dir)]


def rank(runs: Iterable[StoredRun]) -> pd.DataFrame:
    """One row per suite, protocol and model with the columns `COLUMNS`, ranked rows first.

    Mean, std (ddof 1, missing for one seed) and min are over training seeds; a metric that a seed
    does not have is missing for the model. `unranked` says why a row has no rank.

    Raises:
        EnvironmentProblem: If one training seed of a model is there twice.
    """
    models: dict[tuple[str, ...], list[StoredRun]] = {}
    for run in runs:
        models.setdefault(_identity(run.record), []).append(run)
    rows = [_model_row(key, models[key]) for key in sorted(models)]
    rows.sort(key=lambda row: (row["unranked"] != "", *_board(row), _order(row)))
    ranked = [row for row in rows if not row["unranked"]]
    for _, part in groupby(ranked, key=_board):
        _assign_ranks(list(part))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name.endswith(_STATISTICS)]
    return frame.astype(dict.fromkeys(numbers, "float64") | {"rank": "Int64", "seeds": "int64"})


def _board(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in _BOARD)


def _identity(record: RunRecord) -> tuple[str, ...]:
    """The values of `_IDENTITY`."""
    return (
        f"{record.suite.id}@{record.suite.version.partition('.')[0]}",
        record.protocol.name,
        record.protocol.primary_metric,
        record.model.name,
        record.model.method,
        record.model.labels_needed,
        record.protocol.selection,
        _unranked(record),
    )


def _unranked(record: RunRecord) -> str:
    if record.status != "complete":
        return f"not complete ({record.status})"
    if record.protocol.selection == "test_oracle":
        return "selected on the test split"
    if not record.protocol.ranked:
        return "the protocol is not ranked"
    return "" if record.suite.size == "default" else f"size {record.suite.size}"


def _model_row(key: tuple[str, ...], runs: list[StoredRun]) -> dict[str, Any]:
    seeds = [run.record.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise EnvironmentProblem(
            f"model {key[3]} has a training seed twice in {key[0]}, protocol {key[1]}",
            where=", ".join(str(run.folder) for run in runs),
            next_step="remove one of the folders",
        )
    records = sorted((run.record for run in runs), key=lambda record: record.seed)
    row: dict[str, Any] = dict(zip(_IDENTITY, key, strict=True))
    row |= {"rank": None, "seeds": len(seeds), "explainer": None}
    for metric in PREDICTION_METRICS:
        row |= _statistics(metric, [headline(record, metric) for record in records])
    row |= _best("mask_iou", records)[1]
    row["explainer"], srg = _best("srg", records)
    first = [headline(record, row["primary"]) for record in records]
    row |= _statistics("primary", first)
    row["_primary"] = _sample(first)
    if row["_primary"] is None and not row["unranked"]:
        row["unranked"] = f"no {label(row['primary'])}"
    return row | srg


def _statistics(metric: str, found: Sequence[Metric | None]) -> dict[str, float | None]:
    values = [row.value for row in found if row is not None and row.value is not None]
    names = [f"{metric}{kind}" for kind in _STATISTICS]
    if len(values) < len(found):
        return dict.fromkeys(names)
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return dict(zip(names, (float(np.mean(values)), std, min(values)), strict=True))


def _best(metric: str, records: list[RunRecord]) -> tuple[str | None, dict[str, float | None]]:
    """The explainer with the largest mean over seeds, and its statistics; controls do not count."""
    by_explainer: dict[str, list[Metric | None]] = {}
    for record in records:
        for row in record.metrics:
            if row.metric == metric and row.group == "all" and row.explainer not in CONTROLS:
                by_explainer.setdefault(str(row.explainer), []).append(row)
    found = {
        name: _statistics(metric, rows)
        for name, rows in sorted(by_explainer.items())
        if len(rows) == len(records)
    }
    known = {
        name: mean for name, row in found.items() if (mean := row[f"{metric}_mean"]) is not None
    }
    if not known:
        return None, _statistics(metric, [None])
    best = max(known, key=lambda name: known[name])
    return best, found[best]


@dataclass(frozen=True)
class _Sample:
    """The primary metric over seeds, larger being better, with the mean limits of one run."""

    values: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


def _sample(found: Sequence[Metric | None]) -> _Sample | None:
    """None when a seed has no value. Where lower is better, all is negated."""
    rows = [row for row in found if row is not None and row.value is not None]
    if len(rows) < len(found):
        return None
    sign = -1.0 if any(row.higher_is_better is False for row in rows) else 1.0
    ends = [sorted((sign * _or(row.ci_low, -_FAR), sign * _or(row.ci_high, _FAR))) for row in rows]
    low, high = (float(np.mean([pair[end] for pair in ends])) for end in (0, 1))
    return _Sample(tuple(sign * float(row.value or 0.0) for row in rows), low, high)


def _or(limit: float | None, other: float) -> float:
    return other if limit is None else limit


def _order(row: dict[str, Any]) -> tuple[float, str]:
    """Best first; a model without the primary metric last."""
    sample = row["_primary"]
    return (-sample.mean if sample else math.inf, row["model"])


def _assign_ranks(rows: list[dict[str, Any]]) -> None:
    """Rank the rows of one board, which are in order."""
    leader = 0
    for position, row in enumerate(rows):
        if _distinguishable(rows[leader]["_primary"], row["_primary"]):
            leader = position
        row["rank"] = leader + 1


def _distinguishable(leader: _Sample, other: _Sample) -> bool:
    """Whether the interval of leader - other excludes 0; see the module's text."""
    if min(len(leader.values), len(other.values)) > 1:
        return welch(other.values, leader.values).low > 0
    below = math.hypot(leader.mean - leader.low, other.high - other.mean)
    return leader.mean - other.mean > below
