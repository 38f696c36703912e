"""What listing and ranking need of a run record: a small row, so that many fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from ifambench.records.schema import Metric, RunRecord

HEADLINES = (
    *("worst_group_accuracy", "accuracy", "group_mean_accuracy"),
    *("adjusted_accuracy", "bg_gap"),
)
"""Metrics of predictions that are ranked or listed, beside the primary one of the protocol."""

EXPLAINED = ("mask_iou", "srg")
"""Metrics of explainers that are listed, for the best explainer."""


class Value(NamedTuple):
    """A number with its limits, and whether more of it is better."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    higher_is_better: bool | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """The part of a run record that listing and ranking read.

    Attributes:
        folder: The run folder.
        place: The same, relative to the folder that was searched, with slashes.
        values: Headline metrics by name; one that the record lacks is not there.
        explained: Metric, explainer and value of each metric in `EXPLAINED`, over all groups.
        has_patches: Whether the model sees the image as patches; a CNN does not.
        pretrained: The backbone that training started from, or an empty text.
        weights: SHA-256 of the weights that were evaluated.
        tables: The files of the stored tables that the record names.
    """

    folder: Path
    place: str
    status: str
    suite: str
    version: str
    size: str
    data_digest: str
    protocol: str
    primary: str
    selection: str
    ranked: bool
    eval_split: str
    variants: tuple[str, ...]
    model: str
    architecture: str
    method: str
    labels_needed: str
    parameters: int
    has_patches: bool
    pretrained: str
    weights: str
    seed: int
    finished_at: str | None
    tables: tuple[str, ...]
    values: dict[str, Value]
    explained: tuple[tuple[str, str, float | None], ...]

    @property
    def board(self) -> str:
        """The suite with its major version, as results are compared."""
        return f"{self.suite}@{self.version.partition('.')[0]}"


def row_of(record: RunRecord, folder: Path, place: str = "") -> RunRow:
    """The row of a record."""
    suite, protocol, model = record.suite, record.protocol, record.model
    return RunRow(
        folder=folder,
        place=place or folder.as_posix(),
        status=record.status,
        suite=suite.id,
        version=suite.version,
        size=suite.size,
        data_digest=suite.data_digest,
        protocol=protocol.name,
        primary=protocol.primary_metric,
        selection=protocol.selection,
        ranked=protocol.ranked,
        eval_split=protocol.eval_split,
        variants=tuple(protocol.variants),
        model=model.name,
        architecture=model.architecture,
        method=model.method,
        labels_needed=model.labels_needed,
        parameters=model.parameters,
        has_patches=model.patch_grid is not None and "conv" not in model.capabilities,
        pretrained=model.weights.pretrained or "",
        weights=model.weights.sha256,
        seed=record.seed,
        finished_at=record.finished_at,
        tables=tuple(table.file for table in record.tables.values()),
        values=_headlines(record.metrics, {*HEADLINES, protocol.primary_metric}),
        explained=tuple(
            (row.metric, str(row.explainer), row.value)
            for row in record.metrics
            if row.metric in EXPLAINED and row.group == "all"
        ),
    )


def plain(row: RunRow) -> list[Any]:
    """The row as JSON data, without its folder and place."""
    return [getattr(row, name) for name in _STORED]


def restored(content: Sequence[Any], folder: Path, place: str) -> RunRow:
    """The row that `plain` gave, after a way through JSON.

    Raises:
        TypeError, ValueError: If the content is no such row.
    """
    found = dict(zip(_STORED, content, strict=True))
    found |= {name: tuple(found[name]) for name in ("variants", "tables")}
    found["values"] = {name: Value(*item) for name, item in dict(found["values"]).items()}
    found["explained"] = tuple((metric, name, value) for metric, name, value in found["explained"])
    return RunRow(folder, place, **found)


def _headlines(metrics: Iterable[Metric], names: set[str]) -> dict[str, Value]:
    """The first row of each of these metrics that belongs to no explainer."""
    found: dict[str, Value] = {}
    for row in metrics:
        if row.metric in names and row.explainer is None and row.metric not in found:
            found[row.metric] = Value(row.value, row.ci_low, row.ci_high, row.higher_is_better)
    return found


_STORED = tuple(item.name for item in fields(RunRow))[2:]
