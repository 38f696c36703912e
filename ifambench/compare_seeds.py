"""Is one training method better than another? Several training seeds of each.

The noise here is that of training: one value per seed, Student's t between the seeds. It answers
another question than `compare_runs`, whose noise is that of the evaluated images of two fixed
models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ifambench.comparable import LoadedRun, check_comparable, headline
from ifambench.errors import UsageError
from ifambench.gates import points
from ifambench.metrics.score import METRIC_REGISTRY
from ifambench.metrics.uncertainty import paired_t, welch
from ifambench.records.schema import RunRecord

METRICS = ("worst_group_accuracy", "accuracy", "adjusted_accuracy", "group_mean_accuracy", "bg_gap")

_WORDS = {"worst_group_accuracy": "worst-group accuracy"}
_SIDES = tuple(f"{side}_{kind}" for side in ("a", "b") for kind in ("mean", "std", "n"))
_NUMBERS = ("a_mean", "a_std", "b_mean", "b_std", "delta", "ci_low", "ci_high", "p")
COLUMNS = ("metric", *_SIDES, "delta", "ci_low", "ci_high", "p", "method")


@dataclass(frozen=True)
class SeedComparison:
    """The outcome of `compare_seeds`.

    Attributes:
        rows: Per metric `metric, a_mean, a_std, a_n, b_mean, b_std, b_n, delta, ci_low, ci_high,
            p, method`; std with ddof 1, missing for a single seed, and then no interval either.
        verdict: One sentence about the primary metric of the protocol.
        warnings: What to keep in mind when reading it.
    """

    rows: pd.DataFrame
    verdict: str
    warnings: list[str]


def compare_seeds(runs_a: Sequence[LoadedRun], runs_b: Sequence[LoadedRun]) -> SeedComparison:
    """Compare the training seeds of candidate b with those of baseline a.

    The same seeds on both sides are paired (paired t), else the two samples are independent
    (Welch). With fewer than two seeds on a side there is no interval.

    Raises:
        UsageError: If runs are not comparable, a side has none, mixes models or repeats a seed.
    """
    sides = (_by_seed(runs_a, "first"), _by_seed(runs_b, "second"))
    first = next(iter(sides[0].values()))
    for side in sides:
        for record in side.values():
            check_comparable(first, record)
    primary = first.protocol.primary_metric
    rows = [_row(metric, *sides) for metric in dict.fromkeys((*METRICS, primary))]
    frame = pd.DataFrame([row for row in rows if row is not None], columns=list(COLUMNS))
    frame = frame.astype(dict.fromkeys(_NUMBERS, "float64"))
    names = (first.model.name, next(iter(sides[1].values())).model.name)
    few = [name for name, side in zip(names, sides, strict=True) if len(side) < 3]
    warnings = [f"{name} has fewer than 3 training seeds" for name in few]
    return SeedComparison(frame, _verdict(frame, names, primary), warnings)


def _by_seed(runs: Sequence[LoadedRun], which: str) -> dict[int, RunRecord]:
    records = {run.record.seed: run.record for run in runs}
    models = sorted({record.model.name for record in records.values()})
    if len(records) < len(runs):
        raise UsageError(f"the {which} list has a training seed twice", choices=_folders(runs))
    if len(models) != 1:
        what = f"the {which} list must hold runs of one model"
        raise UsageError(what, where=", ".join(models) or "no run", choices=_folders(runs))
    return dict(sorted(records.items()))


def _folders(runs: Sequence[LoadedRun]) -> list[str]:
    return [str(run.folder) for run in runs]


def _row(metric: str, a: dict[int, RunRecord], b: dict[int, RunRecord]) -> dict[str, object] | None:
    """None when a run does not have the metric."""
    values_a, values_b = _values(metric, a), _values(metric, b)
    if not values_a or not values_b:
        return None
    row: dict[str, object] = {"metric": metric}
    for name, side in (("a", values_a), ("b", values_b)):
        std = float(np.std(side, ddof=1)) if len(side) > 1 else None
        row |= {f"{name}_mean": float(np.mean(side)), f"{name}_std": std, f"{name}_n": len(side)}
    row["delta"] = float(np.mean(values_b) - np.mean(values_a))
    if min(len(values_a), len(values_b)) < 2:
        return row | {"ci_low": None, "ci_high": None, "p": None, "method": None}
    test, method = (paired_t, "paired_t") if list(a) == list(b) else (welch, "welch_t")
    low, high, p = test(values_a, values_b)
    return row | {"ci_low": low, "ci_high": high, "p": p, "method": method}


def _values(metric: str, side: dict[int, RunRecord]) -> list[float]:
    """One value per seed, or none at all when one is missing."""
    rows = [headline(record, metric) for record in side.values()]
    values = [row.value for row in rows if row is not None and row.value is not None]
    return values if len(values) == len(rows) else []


def _verdict(rows: pd.DataFrame, names: tuple[str, str], primary: str) -> str:
    metric = _WORDS.get(primary, primary)
    found = rows[rows["metric"] == primary]
    if found.empty:
        return f"{metric} is undefined in one of the runs."
    row = found.iloc[0]
    counts = f"{row['b_n']} and {row['a_n']} training seeds"
    if row["method"] is None:
        return (
            f"{names[1]} differs from {names[0]} by {100 * row['delta']:+.1f} pp in mean "
            f"{metric} over {counts}, too few for an interval."
        )
    limits = points(row["delta"], row["ci_low"], row["ci_high"])
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return (
            f"{names[1]} and {names[0]} cannot be told apart in mean {metric}: "
            f"{limits} over {counts} ({row['method']})."
        )
    rises = METRIC_REGISTRY.entry(primary).info["higher_is_better"]
    word = "better" if (row["delta"] > 0) == rises else "worse"
    return (
        f"{names[1]} is {word} than {names[0]} in mean {metric}: "
        f"{limits} over {counts} ({row['method']})."
    )
