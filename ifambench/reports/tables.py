"""From the metric rows of a record to tables: one place decides what is shown and how.

`summary_tables` are the tables everyone should see (terminal, Markdown, page); `detail_tables`
split them by group. The same sections are rendered by every format.
"""

from __future__ import annotations

import pandas as pd

from ifambench.metrics.base import COLUMNS
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import record_text
from ifambench.reports import numbers
from ifambench.reports.accuracy_tables import (
    AVERAGES,
    SWAP_DIFFERENCES,
    averages_table,
    background_table,
    groups_table,
)
from ifambench.reports.battery_images import BATTERY
from ifambench.reports.battery_tables import battery_tables
from ifambench.reports.comparison import comparison_section, explainers_section
from ifambench.reports.csv_text import frame_csv
from ifambench.reports.explanation_tables import (
    EXPLANATIONS,
    by_group,
    evidence_table,
    explanations_table,
    location_table,
)
from ifambench.reports.noise_tables import NOISE, noise_tables
from ifambench.reports.rows import (
    IN_POINTS,
    explainers,
    methods_note,
    shown,
    shown_points,
    undefined_notes,
    with_arrow,
)
from ifambench.reports.sanity_tables import SANITY, sanity_table
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Section, to_markdown, to_rich

__all__ = [
    "Column",
    "Section",
    "comparison_section",
    "detail_tables",
    "explainers_section",
    "metrics_frame",
    "summary_tables",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_rich",
]

_IN_TABLES = {*AVERAGES, *EXPLANATIONS, "group_accuracy", "variant_accuracy"}
_IN_TABLES |= {*SWAP_DIFFERENCES, "flip_rate", "flip_rate_from_correct"}
_IN_TABLES |= {"mixed_rand_accuracy"}  # the accuracy of that variant
_IN_TABLES |= {*SANITY}
_IN_TABLES |= {"deletion_auc_over_random"}  # in JSON and CSV only
_IN_TABLES |= BATTERY | NOISE


_MOST_COLUMNS = 16


def metrics_frame(record: RunRecord) -> pd.DataFrame:
    """The metric rows as a DataFrame with the columns of `MetricRow`, undefined values NaN."""
    return pd.DataFrame([item.model_dump() for item in record.metrics], columns=list(COLUMNS))


def summary_tables(record: RunRecord) -> list[Section]:
    """The tables of a run: groups, averages, background, explanations, further measures.

    A table without rows is left out.
    """
    sections = [
        groups_table(record),
        averages_table(record),
        background_table(record),
        explanations_table(record),
        evidence_table(record),
        location_table(record),
        sanity_table(record),
        *battery_tables(record),
        *noise_tables(record),
        _further(record),
    ]
    return [section for section in sections if section.rows]


def detail_tables(record: RunRecord) -> list[Section]:
    """The tables of a run split by group: variants, then deletion AUC and SRG of explainers.

    None for one group, and none for more groups than a table can have columns.
    """
    if not 1 < len(record.groups) <= _MOST_COLUMNS:
        return []
    variants = [name for name in record.protocol.variants if name != "original"]
    sections = [
        by_group(record, "variant_accuracy", "variant", variants),
        by_group(record, "deletion_auc", "explainer", explainers(record)),
        by_group(record, "srg", "explainer", explainers(record)),
    ]
    return [section for section in sections if section.rows]


def to_json(record: RunRecord) -> str:
    """The whole record as strict JSON."""
    return record_text(record)


def to_csv(record: RunRecord) -> str:
    """The metric rows as CSV; undefined values are empty."""
    return frame_csv(metrics_frame(record))


def _further(record: RunRecord) -> Section:
    found = [item for item in record.metrics if item.metric not in _IN_TABLES]
    found = [item for item in found if item.group == "all" or item.group not in record.groups]
    return Section(
        "further",
        "Further measures",
        (
            Column("measure", "left", ALWAYS),
            Column("of", "left", 7),
            Column("value", priority=ALWAYS),
            Column(INTERVAL, priority=6),
            Column("n", priority=5),
        ),
        tuple(_further_cells(item) for item in found),
        (*methods_note(found), *undefined_notes(found)),
    )


def _further_cells(item: Metric) -> tuple[str, ...]:
    text = shown_points(item) if item.metric in IN_POINTS else shown(item)
    own = item.metric.startswith("bg_flip") or item.variant == "original"
    parts = [item.explainer, None if own else item.variant]
    parts.append(item.group if item.group != "all" else None)
    of = ", ".join(part for part in parts if part)
    return with_arrow(item.metric), of, text.value, text.interval, numbers.count(item.n)
