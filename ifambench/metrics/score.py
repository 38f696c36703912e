"""All metrics of a run from its stored tables: what `ifambench score` and every run compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.registry import Registry

if TYPE_CHECKING:
    from ifambench.records.schema import RunRecord

METRIC_REGISTRY = Registry(kind="metric", package="ifambench.metrics", constant="METRICS")
"""All metrics, the built-in ones and those of plug-ins, with direction, unit and version."""


def score_tables(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Run every registered metric once, in the order of their modules.

    Several metrics share one build function; it runs once. The result does not depend on the
    order of the tables' rows.
    """
    entries = METRIC_REGISTRY.entries().values()
    builds = {(entry.module, entry.build): entry for entry in entries}
    rows: list[MetricRow] = []
    for key in sorted(builds):
        rows += builds[key].load()(tables, context)
    return rows


def context_of(record: RunRecord) -> ScoreContext:
    """The context in which a stored run was scored."""
    return ScoreContext(
        groups=tuple(record.groups),
        train_shares=None if record.train_shares is None else tuple(record.train_shares),
        minority=tuple(record.minority),
        split=record.protocol.eval_split,
        labels=tuple(record.labels),
        attributes={name: tuple(values) for name, values in record.attributes.items()},
        metrics=record.protocol.metrics,
        pair_by=record.protocol.pair_by,
        patch_grid=record.model.patch_grid,
    )
