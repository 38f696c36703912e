"""Which runs may be compared, and how they are told apart.

Runs answer the same question only when suite, major version, data, protocol, split and groups are
the same and both are complete. How a model prepares an image (input size, crop, normalisation)
belongs to the model, like its weights: the data digest says that both saw the same images, and a
difference of preprocessing is stated, not refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ifambench.errors import UsageError
from ifambench.records.schema import Metric, RunRecord

_EXPLAIN_KEYS = ("protocol", "steps", "operator", "target")


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
                "suite.size": record.suite.size,
                "suite.data_digest": record.suite.data_digest,
                "protocol.name": record.protocol.name,
                "protocol.eval_split": record.protocol.eval_split,
                "protocol.label_scope": str(record.protocol.label_scope),
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


def explanation_differences(a: RunRecord, b: RunRecord) -> dict[str, tuple[str, str]]:
    """The keys that keep explanations from being paired, with both values.

    How many images were explained and with which seed does not matter: pairs are images that both
    runs explained.
    """
    sides = []
    for record in (a, b):
        explain = {key: record.protocol.explain.get(key) for key in _EXPLAIN_KEYS}
        asked = record.explaining.get("protocol", {})
        explain["precision"] = asked.get("precision", "32")  # earlier versions had no other
        sides.append({f"explain.{key}": str(value) for key, value in explain.items()})
    found = {key: (sides[0][key], sides[1][key]) for key in sides[0]}
    return {key: values for key, values in found.items() if values[0] != values[1]}


def preprocessing_differences(a: RunRecord, b: RunRecord) -> dict[str, tuple[Any, Any]]:
    """The keys in which the two models prepare images differently, with both values."""
    sides = a.model.data_config, b.model.data_config
    found = {key: (sides[0].get(key), sides[1].get(key)) for key in {**sides[0], **sides[1]}}
    return {key: values for key, values in found.items() if values[0] != values[1]}


def run_names(records: Sequence[RunRecord], origins: Sequence[str] = ()) -> list[str]:
    """Names that tell runs apart: the models, with the seed or the origin where they are equal.

    The origin is the last resort: the same model and seed, for instance before and after a change.

    Args:
        records: The baseline first.
        origins: Where each comes from, in a word; the letters A, B, ... where there is none.
    """
    models = [record.model.name for record in records]
    seeds = [f"{record.model.name} seed {record.seed}" for record in records]
    return _distinct(models, seeds, _with_origin(seeds, origins))


def model_names(models: Sequence[str], origins: Sequence[str] = ()) -> list[str]:
    """The same for models with several seeds each."""
    return _distinct(models, _with_origin(models, origins))


def _with_origin(names: Sequence[str], origins: Sequence[str]) -> list[str]:
    known = [*origins, *([""] * (len(names) - len(origins)))]
    return [
        f"{name} ({origin or chr(ord('A') + index)})"
        for index, (name, origin) in enumerate(zip(names, known, strict=True))
    ]


def _distinct(*attempts: Sequence[str]) -> list[str]:
    """The first list without a repetition, else the last one."""
    return list(next((names for names in attempts if len(set(names)) == len(names)), attempts[-1]))


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
