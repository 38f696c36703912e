"""Is one training method better than another? Several training seeds of each.

The noise here is that of training: one value per seed, Student's t between the seeds. It answers
another question than `compare_runs`, whose noise is that of the evaluated images of two fixed
models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ifambench.comparable import (
    LoadedRun,
    check_comparable,
    explanation_differences,
    image_differences,
    model_names,
    not_comparable,
)
from ifambench.errors import UsageError
from ifambench.gates import points
from ifambench.metrics.deletion import is_floor
from ifambench.metrics.paired import ALPHA
from ifambench.metrics.paired_explainers import COMPARED as EXPLAINER_METRICS
from ifambench.metrics.score import METRIC_REGISTRY
from ifambench.metrics.uncertainty import holm, paired_t, welch
from ifambench.records.schema import Metric, RunRecord

METRICS = ("worst_group_accuracy", "accuracy", "adjusted_accuracy", "group_mean_accuracy", "bg_gap")
SWAPS = ("mixed_rand_accuracy", "bg_flip_rate", "bg_flip_back_rate", "flip_rate")

_GROUPS = "group_accuracy"
_NO_WIDTH = 1e-9
_WORDS = {"worst_group_accuracy": "worst-group accuracy"}
_SIDES = tuple(f"{side}_{kind}" for side in ("a", "b") for kind in ("mean", "std", "n"))
_NUMBERS = ("a_mean", "a_std", "b_mean", "b_std", "delta", "ci_low", "ci_high", "p", "p_holm")
_KEY = ("metric", "group", "variant", "explainer")
COLUMNS = (*_KEY, *_SIDES, "delta", "ci_low", "ci_high", "p", "p_holm", "method", "better")

Key = tuple[str, str, str, str | None]
Sides = tuple[dict[int, RunRecord], dict[int, RunRecord]]


@dataclass(frozen=True)
class SeedComparison:
    """The outcome of `compare_seeds`.

    Attributes:
        rows: Per metric, and per group, variant and explainer where it has several: `metric, group,
            variant, explainer, a_mean, a_std, a_n, b_mean, b_std, b_n, delta, ci_low, ci_high, p,
            p_holm, method, better`; std with ddof 1, missing for a single seed, and then no
            interval either. `group` is `all` for a minimum over groups, whose group can change
            from seed to seed.
        verdict: One sentence about the primary metric of the protocol.
        warnings: What to keep in mind when reading it.
        names: The baseline and the candidate in words.
        primary: The metric that ranks.
        candidates: How many candidates `p_holm` is adjusted over.
    """

    rows: pd.DataFrame
    verdict: str
    warnings: list[str]
    names: tuple[str, str] = ("A", "B")
    primary: str = "worst_group_accuracy"
    candidates: int = 1


def compare_seeds(runs_a: Sequence[LoadedRun], runs_b: Sequence[LoadedRun]) -> SeedComparison:
    """Compare the training seeds of candidate b with those of baseline a.

    The same seeds on both sides are paired (paired t), else the two samples are independent
    (Welch). With fewer than two seeds on a side there is no interval.

    Raises:
        UsageError: If runs are not comparable, a side has none, mixes models or repeats a seed.
    """
    return compare_seed_sets([(runs_a, runs_b)])[0]


def compare_seed_sets(
    pairs: Sequence[tuple[Sequence[LoadedRun], Sequence[LoadedRun]]], origins: Sequence[str] = ()
) -> list[SeedComparison]:
    """`compare_seeds` for each pair of a baseline and a candidate, with one Holm correction.

    Args:
        pairs: Runs of the baseline and of a candidate. The baseline is the same model in all
            pairs; its seeds can differ, to match those of the candidate.
        origins: Where the baseline and the candidates come from, in a word.

    Raises:
        UsageError: As for `compare_seeds`.
    """
    sides = [_sides(*pair) for pair in pairs]
    frames = _adjusted([pd.DataFrame(_rows(*side), columns=list(COLUMNS)) for side in sides])
    models = [sides[0][0], *(side[1] for side in sides)]
    names = model_names([_any(side).model.name for side in models], origins)
    return [
        _outcome(side, frame, (names[0], name), len(sides))
        for side, frame, name in zip(sides, frames, names[1:], strict=True)
    ]


def _sides(runs_a: Sequence[LoadedRun], runs_b: Sequence[LoadedRun]) -> Sides:
    sides = (_by_seed(runs_a, "first"), _by_seed(runs_b, "second"))
    first = _any(sides[0])
    for side in sides:
        for record in side.values():
            check_comparable(first, record)
    for run in (*runs_a, *runs_b):
        if differing := image_differences(runs_a[0], run):
            raise not_comparable(differing)
    return sides


def _outcome(
    sides: Sides, rows: pd.DataFrame, names: tuple[str, str], candidates: int
) -> SeedComparison:
    primary = _any(sides[0]).protocol.primary_metric
    few = [name for name, side in zip(names, sides, strict=True) if len(side) < 3]
    warnings = [f"{name} has fewer than 3 training seeds" for name in few]
    if not _same_explanations(sides):
        warnings.append("explanations were measured differently (protocol.explain), so left out")
    if ((rows["ci_high"] - rows["ci_low"] < _NO_WIDTH) & (rows["delta"].abs() > _NO_WIDTH)).any():
        warnings.append(
            "some differences are the same in every seed: an interval without width is chance, "
            "more seeds are needed"
        )
    text = _verdict(rows, names, primary)
    return SeedComparison(rows, text, warnings, names, primary, candidates)


def _any(side: dict[int, RunRecord]) -> RunRecord:
    return next(iter(side.values()))


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


def _same_explanations(sides: Sides) -> bool:
    first = _any(sides[0])
    return not any(explanation_differences(first, record) for x in sides for record in x.values())


def _rows(a: dict[int, RunRecord], b: dict[int, RunRecord]) -> list[dict[str, object]]:
    """One row for each value that every run has."""
    values = [[_values(record, (a, b)) for record in side.values()] for side in (a, b)]
    keys = [key for key in values[0][0] if all(key in found for side in values for found in side)]
    return [_row(key, [[found[key] for found in side] for side in values], a, b) for key in keys]


def _values(record: RunRecord, sides: Sides) -> dict[Key, float]:
    """The defined values of a record that are compared, in the order in which they are shown."""
    primary = record.protocol.primary_metric
    of_predictions = tuple(dict.fromkeys((_GROUPS, *METRICS, primary, *SWAPS)))
    of_explainers = EXPLAINER_METRICS if _same_explanations(sides) else ()
    found: dict[Key, float] = {}
    for metric in (*of_predictions, *of_explainers):
        for row in record.metrics:
            if row.metric == metric and row.value is not None and _compared(row, record):
                found[_key(row)] = row.value
    return found


def _compared(row: Metric, record: RunRecord) -> bool:
    """Not the parts by group of a metric that has a value over all images."""
    minimum = row.metric in METRICS or row.metric == record.protocol.primary_metric
    return row.group == "all" or row.metric == _GROUPS or (minimum and row.explainer is None)


def _key(row: Metric) -> Key:
    group = row.group if row.metric == _GROUPS else "all"
    return row.metric, group, row.variant, row.explainer


def _row(
    key: Key, values: list[list[float]], a: dict[int, RunRecord], b: dict[int, RunRecord]
) -> dict[str, object]:
    row: dict[str, object] = dict(zip(_KEY, key, strict=True))
    for name, side in zip("ab", values, strict=True):
        std = float(np.std(side, ddof=1)) if len(side) > 1 else None
        row |= {f"{name}_mean": float(np.mean(side)), f"{name}_std": std, f"{name}_n": len(side)}
    row["delta"] = float(np.mean(values[1]) - np.mean(values[0]))
    if min(map(len, values)) < 2:
        return row | {"ci_low": None, "ci_high": None, "p": None, "method": None}
    test, method = (paired_t, "paired_t") if list(a) == list(b) else (welch, "welch_t")
    low, high, p = test(values[0], values[1])
    return row | {"ci_low": low, "ci_high": high, "p": p, "method": method}


def _adjusted(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The frames with `p_holm` over all rows of a metric of all frames, and `better`."""
    whole = pd.concat(frames, keys=range(len(frames))).astype(dict.fromkeys(_NUMBERS, "float64"))
    for _, part in whole[whole["p"].notna()].groupby("metric"):
        whole.loc[part.index, "p_holm"] = holm(part["p"].tolist())
    better = [_better(row) for row in whole.to_dict("records")]
    whole["better"] = pd.Series(better, index=whole.index, dtype=object)
    return [whole.loc[[index]].reset_index(drop=True) for index in range(len(frames))]


def _better(row: dict[Any, Any]) -> str | None:
    rises = METRIC_REGISTRY.entry(row["metric"]).info["higher_is_better"]
    floor = isinstance(row["explainer"], str) and is_floor(row["explainer"])
    if rises is None or np.isnan(row["p"]) or floor:
        return None
    if row["ci_low"] <= 0 <= row["ci_high"] or row["p_holm"] >= ALPHA:
        return "tie"
    return "b" if (row["delta"] > 0) == rises else "a"


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
    evidence = (
        f"{points(row['delta'], row['ci_low'], row['ci_high'])} over {counts} ({row['method']})"
    )
    if row["better"] in ("a", "b"):
        word = "better" if row["better"] == "b" else "worse"
        return f"{names[1]} is {word} than {names[0]} in mean {metric}: {evidence}."
    return f"{names[1]} and {names[0]} cannot be told apart in mean {metric}: {evidence}."
