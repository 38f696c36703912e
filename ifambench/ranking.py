"""Rank models by the primary metric of the protocol, from the run records.

One row is one model on one suite (id and major version) under one protocol, aggregated over its
training seeds. Ranks are by the mean of the primary metric, the largest first or the smallest,
whichever is better, and models that cannot be told apart share one: going down the list, a model
gets the rank of the leader above it unless the 95 % interval of their difference excludes 0, in
which case it takes its own position and leads from there on (`ifambench.over_seeds`). Single runs
whose metric has no interval cannot be told apart.

Runs that are not complete, that were selected on the test split, that have another size than the
default or whose protocol is not ranked are listed apart, without a rank; so are given weights that
another run on the list has trained, which would be one result twice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.deletion import FLOOR
from ifambench.over_seeds import STATISTICS, distinguishable, limits, sample_of, statistics
from ifambench.records.index import Damaged, RunIndex, all_rows
from ifambench.records.row import HEADLINES, RunRow
from ifambench.reports.backbone import backbone_class
from ifambench.reports.rows import label

CONTROLS = frozenset({FLOOR, "center", "uniform"})
"""Explainers that know nothing about the model; never a model's best explainer."""

TEST_ORACLE = "test_oracle"
"""The selection policy that looks at the test split."""

GIVEN = "given"
"""The training method of weights that were only evaluated."""

VERIFIED, REPORTED, DIFFERS = "verified", "reported", "differs"
"""What is known of the numbers of a run: the stored tables give them again, there are no tables
that could, or they give others."""

_IDENTITY = (
    *("suite", "protocol", "primary", "model", "method", "labels_needed", "selection"),
    "unranked",
)
BOARD = ("suite", "protocol", "primary")
"""The columns that say which models are ranked against each other."""
COLUMNS = (
    *("suite", "protocol", "rank", "model", "method", "labels_needed", "selection", "seeds"),
    *("primary", *(f"primary{kind}" for kind in STATISTICS)),
    *(f"{name}{kind}" for name in HEADLINES for kind in STATISTICS),
    *(f"mask_iou{kind}" for kind in STATISTICS),
    "explainer",
    *(f"srg{kind}" for kind in STATISTICS),
    "unranked",
    *("primary_ci_low", "primary_ci_high", "backbone", "parameters", "evidence", "runs"),
)


def collect(results_dir: Path, index: RunIndex | None = None) -> list[RunRow]:
    """The rows of all run records below a folder, by path.

    Args:
        results_dir: The folder.
        index: What is remembered of these records; without it, each is read whole.

    Raises:
        UsageError: If the folder does not exist.
        EnvironmentProblem: If a record is damaged, naming the file and the key.
    """
    if not results_dir.is_dir():
        raise UsageError(
            "no such results folder", where=str(results_dir), next_step="ifambench run SUITE"
        )
    found = []
    for row in index.rows() if index else all_rows(results_dir):
        if isinstance(row, Damaged):
            raise row.problem
        found.append(row)
    return found


def rank(runs: Iterable[RunRow], evidence: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per suite, protocol and model with the columns `COLUMNS`, ranked rows first.

    Mean, std (ddof 1, missing for one seed) and min are over training seeds; a metric that a seed
    does not have is missing for the model. The limits of the primary metric are Student's over two
    or more seeds, else those of the run. `unranked` says why a row has no rank, `runs` names the
    run folders.

    Args:
        runs: The runs.
        evidence: `VERIFIED`, `REPORTED` or `DIFFERS` by the place of a run, reported where it is
            not there; when not given, nothing is said of it.

    Raises:
        EnvironmentProblem: If one training seed of a model is there twice.
    """
    models: dict[tuple[str, ...], list[RunRow]] = defaultdict(list)
    runs = list(runs)
    trained = _trained(runs)
    for run in runs:
        models[_identity(run, trained)].append(run)
    rows = [_model_row(key, models[key], evidence) for key in sorted(models)]
    rows.sort(key=lambda row: (row["unranked"] != "", *_board(row), _order(row)))
    ranked = [row for row in rows if not row["unranked"]]
    for _, part in groupby(ranked, key=_board):
        _assign_ranks(list(part))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name.endswith(STATISTICS)]
    numbers += ["primary_ci_low", "primary_ci_high"]
    whole = {"rank": "Int64", "seeds": "int64", "parameters": "int64"}
    return frame.astype(dict.fromkeys(numbers, "float64") | whole)


def _board(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in BOARD)


def _identity(run: RunRow, trained: Mapping[tuple[str, ...], str]) -> tuple[str, ...]:
    """The values of `_IDENTITY`."""
    unranked = _unranked(run, trained.get(_weights(run)))
    described = (run.model, run.method, run.labels_needed, run.selection, unranked)
    return (run.board, run.protocol, run.primary, *described)


def _weights(run: RunRow) -> tuple[str, ...]:
    """What two runs share that are one result twice."""
    return (run.board, run.protocol, run.size, run.weights)


def _trained(runs: Iterable[RunRow]) -> dict[tuple[str, ...], str]:
    """The model, and its seed, whose training gave the weights of complete runs."""
    complete = (run for run in runs if run.status == "complete" and run.method != GIVEN)
    return {_weights(run): f"{run.model}, seed {run.seed}" for run in complete}


def _unranked(run: RunRow, trained_as: str | None) -> str:
    if run.status != "complete":
        return f"not complete ({run.status})"
    if run.selection == TEST_ORACLE:
        return "selected on the test split"
    if not run.ranked:
        return "the protocol is not ranked"
    if run.method == GIVEN and trained_as:
        return f"the weights of {trained_as}"
    return "" if run.size == "default" else f"size {run.size}"


def _model_row(
    key: tuple[str, ...], runs: list[RunRow], evidence: Mapping[str, str] | None
) -> dict[str, Any]:
    runs = sorted(runs, key=lambda run: run.seed)
    if len({run.seed for run in runs}) < len(runs):
        raise EnvironmentProblem(
            f"model {key[3]} has a training seed twice in {key[0]}, protocol {key[1]}",
            where=", ".join(str(run.folder) for run in runs),
            next_step="remove one of the folders",
        )
    row: dict[str, Any] = dict(zip(_IDENTITY, key, strict=True))
    row |= {"rank": None, "seeds": len(runs), "explainer": None}
    for metric in HEADLINES:
        row |= statistics(metric, [_number(run, metric) for run in runs])
    row |= _best("mask_iou", runs)[1]
    row["explainer"], srg = _best("srg", runs)
    first = [run.values.get(row["primary"]) for run in runs]
    row |= statistics("primary", [_number(run, row["primary"]) for run in runs])
    row["_primary"] = sample_of(first)
    if row["_primary"] is None and not row["unranked"]:
        row["unranked"] = f"no {label(row['primary'])}"
    return row | srg | limits(str(row["primary"]), first) | _described(runs, evidence)


def _number(run: RunRow, metric: str) -> float | None:
    found = run.values.get(metric)
    return None if found is None else found.value


def _described(runs: Sequence[RunRow], evidence: Mapping[str, str] | None) -> dict[str, Any]:
    """Backbone and parameters, how far the numbers can be trusted, and where they come from."""
    known = {(evidence or {}).get(run.place, REPORTED) for run in runs}
    weakest = next(name for name in (DIFFERS, REPORTED, VERIFIED) if name in known)
    return {
        "backbone": backbone_class(runs[0]),
        "parameters": runs[0].parameters,
        "evidence": "" if evidence is None else weakest,
        "runs": ";".join(run.place for run in runs),
    }


def _best(metric: str, runs: Sequence[RunRow]) -> tuple[str | None, dict[str, float | None]]:
    """The explainer with the largest mean over seeds, and its statistics; controls do not count."""
    by_explainer: dict[str, list[float | None]] = defaultdict(list)
    for run in runs:
        for name, explainer, value in run.explained:
            if name == metric and explainer not in CONTROLS:
                by_explainer[explainer].append(value)
    found = {
        name: statistics(metric, rows)
        for name, rows in sorted(by_explainer.items())
        if len(rows) == len(runs)
    }
    known = {
        name: mean for name, row in found.items() if (mean := row[f"{metric}_mean"]) is not None
    }
    if not known:
        return None, statistics(metric, [None])
    best = max(known, key=lambda name: known[name])
    return best, found[best]


def _order(row: dict[str, Any]) -> tuple[float, str]:
    """Best first; a model without the primary metric last."""
    sample = row["_primary"]
    return (-sample.mean if sample else math.inf, row["model"])


def _assign_ranks(rows: list[dict[str, Any]]) -> None:
    """Rank the rows of one board, which are in order."""
    leader = 0
    for position, row in enumerate(rows):
        if distinguishable(rows[leader]["_primary"], row["_primary"]):
            leader = position
        row["rank"] = leader + 1
