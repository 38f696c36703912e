"""Which runs may be compared, and how they are told apart.

Runs answer the same question only when suite, major version, data, protocol, split and groups are
the same and both are complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pandas as pd

from ifambench.errors import UsageError
from ifambench.records.schema import Metric, RunRecord


class LoadedRun(Protocol):
    """A stored run, as `ifambench.records.store.load_run` returns it."""

    @property
    def folder(self) -> Path:
        """The run folder."""

    @property
    def record(self) -> RunRecord:
        """The content of `run.json`."""

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per image and variant."""

    @property
    def explanations(self) -> pd.DataFrame:
        """One row per image and explainer."""


def record_differences(a: RunRecord, b: RunRecord) -> dict[str, tuple[str, str]]:
    """The keys that make two runs incomparable, with both values; empty when they compare."""
    sides = []
    for record in (a, b):
        major = record.suite.version.partition(".")[0]
        sides.append(
            {
                "suite.id": record.suite.id,
                "suite.version (major)": major,
                "suite.data_digest": record.suite.data_digest,
                "protocol.name": record.protocol.name,
                "protocol.eval_split": record.protocol.eval_split,
                "groups": ", ".join(record.groups),
            }
        )
    found = {key: (sides[0][key], sides[1][key]) for key in sides[0]}
    found = {key: values for key, values in found.items() if values[0] != values[1]}
    if (a.status, b.status) != ("complete", "complete"):
        found["status"] = (a.status, b.status)
    return found


def check_comparable(a: RunRecord, b: RunRecord) -> None:
    """Raise a UsageError that names the differing keys unless the records are comparable."""
    if differing := record_differences(a, b):
        raise not_comparable(differing)


def run_names(a: RunRecord, b: RunRecord) -> tuple[str, str]:
    """Names that tell two runs apart: the models, with the seed or the side where they are equal.

    The side is the last resort: the same model and seed, for instance before and after a change.
    """
    names = (a.model.name, b.model.name)
    if names[0] == names[1]:
        names = (f"{names[0]} seed {a.seed}", f"{names[1]} seed {b.seed}")
    return names if names[0] != names[1] else (f"{names[0]} (A)", f"{names[1]} (B)")


def headline(record: RunRecord, metric: str) -> Metric | None:
    """The record's row of a metric of predictions, or None when there is none."""
    rows = (row for row in record.metrics if row.metric == metric and row.explainer is None)
    return next(rows, None)


def image_differences(a: LoadedRun, b: LoadedRun) -> dict[str, tuple[str, str]]:
    """The difference of the evaluated images, empty when both runs have the same ids."""
    ids = []
    for run in (a, b):
        frame = run.predictions
        ids.append(set(frame.loc[frame["variant"] == "original", "id"]))
    if ids[0] == ids[1]:
        return {}
    only = tuple(f"{len(x - y)} of {len(x)} only here" for x, y in (ids, ids[::-1]))
    return {"image ids": (only[0], only[1])}


def not_comparable(differing: dict[str, tuple[str, str]]) -> UsageError:
    """The error that names the differing keys."""
    return UsageError(
        f"the runs are not comparable, they differ in {', '.join(differing)}",
        where="; ".join(f"{key}: {x} | {y}" for key, (x, y) in differing.items()),
        next_step="compare complete runs of one suite and protocol, or add --force",
    )
