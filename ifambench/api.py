"""Stored runs in Python: what the commands read and compute, as pandas DataFrames.

`ifambench.load_run`, `ifambench.compare` and `ifambench.leaderboard` are these functions. None of
them imports torch. docs/python.md shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ifambench.comparable import LoadedRun as LoadedRunLike
from ifambench.compare_seeds import compare_seeds
from ifambench.comparison import compare_runs
from ifambench.errors import UsageError
from ifambench.ranking import collect, rank
from ifambench.records import store
from ifambench.records.record import RECORD_FILE
from ifambench.records.schema import RunRecord
from ifambench.reports.tables import metrics_frame


@dataclass(frozen=True)
class Run:
    """A stored run; every table is a DataFrame, without rows when it was not measured.

    Attributes:
        loaded: The run as the commands read it.
    """

    loaded: store.LoadedRun

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.loaded.folder

    @property
    def record(self) -> RunRecord:
        """The content of `run.json`."""
        return self.loaded.record

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per image and variant."""
        return self.loaded.predictions

    @property
    def explanations(self) -> pd.DataFrame:
        """One row per image and explainer."""
        return self.loaded.explanations

    @property
    def sanity(self) -> pd.DataFrame:
        """One row per image, explainer and check (`run --sanity`)."""
        return _frame(self.loaded.sanity)

    @property
    def battery(self) -> pd.DataFrame:
        """One row per image, test, quantity and condition (`run --battery`)."""
        return _frame(self.loaded.battery)

    @property
    def mask_samples(self) -> pd.DataFrame:
        """One row per image and mask, 0 the one without noise (`run --mask-samples`)."""
        return _frame(self.loaded.mask_samples)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per metric, group, variant and explainer, as `ifambench.metrics.base.MetricRow`.

        Undefined values are NaN, with the reason beside them.
        """
        return metrics_frame(self.record)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Mean deletion and insertion curves: one row per explainer, group and fraction."""
        return _frame(store.load_curves(self.folder, self.record.tables.get("curves")))

    @cached_property
    def training(self) -> pd.DataFrame:
        """One row per epoch, where the model was trained by the run."""
        return _frame(store.load_training(self.folder, self.record.tables.get("training")))

    def __repr__(self) -> str:
        """The run in one line; its tables would fill pages."""
        record = self.record
        return (
            f"Run({record.model.name} on {record.suite.id}, protocol {record.protocol.name}, "
            f"seed {record.seed}, {record.status})"
        )


Side = str | Path | Run | Sequence["str | Path | Run"]


def load_run(path: str | Path) -> Run:
    """Load a stored run from its folder or from a file in it.

    Raises:
        UsageError: If there is no run; the message names runs near by.
        EnvironmentProblem: If the record or a table is missing or damaged.
    """
    return Run(store.load_run(Path(path)))


def compare(a: Side, b: Side, *, force: bool = False) -> pd.DataFrame:
    """Compare candidate `b` with baseline `a`; every difference is b - a.

    Args:
        a: A run or its path; or several training seeds of one model: a list of runs, or the folder
            above them.
        b: The same for the candidate.
        force: Compare two runs that differ in suite, data, protocol or status.

    Returns:
        One row per measure. For two runs the columns of `comparison.Comparison.rows`, with
        paired statistics on the images of both; for several seeds those of
        `comparison.SeedComparison.rows`. `attrs` holds `verdict` and `warnings`.

    Raises:
        UsageError: If the runs are not comparable, naming what differs.
    """
    sides = _runs(a), _runs(b)
    if len(sides[0]) == len(sides[1]) == 1:
        outcome = compare_runs(sides[0][0], sides[1][0], force=force)
        return _with_words(outcome.rows, outcome.verdict, outcome.warnings)
    if force:
        raise UsageError("force works on two runs, not on several seeds")
    seeds = compare_seeds(*sides)
    return _with_words(seeds.rows, seeds.verdict, seeds.warnings)


def leaderboard(results: str | Path = "results") -> pd.DataFrame:
    """Rank the models of all runs below a folder; one row per suite, protocol and model.

    Raises:
        UsageError: If there is no such folder.
        EnvironmentProblem: If a record is damaged.
    """
    return rank(collect(Path(results)))


def _runs(side: Side) -> list[LoadedRunLike]:
    """The runs that a side stands for."""
    if isinstance(side, Run):
        return [side.loaded]
    if not isinstance(side, str | Path):
        return [run for part in side for run in _runs(part)]
    path = Path(side)
    below = [] if (path / RECORD_FILE).exists() else store.find_runs(path)
    return [store.load_run(folder) for folder in below or [path]]


def _with_words(rows: pd.DataFrame, verdict: str, warnings: list[str]) -> pd.DataFrame:
    found = rows.copy()
    found.attrs.update(verdict=verdict, warnings=warnings)
    return found


def _frame(table: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame() if table is None else table
