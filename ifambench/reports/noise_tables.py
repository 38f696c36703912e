"""The tables of noisy masks: accuracies beside those without noise, and what the noise changes."""

from __future__ import annotations

from ifambench.metrics.mask_noise import METRICS
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.battery_cells import value_cells
from ifambench.reports.rows import common_places, methods_note, row, shown, undefined_notes
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Section

NOISE = frozenset(METRICS)
"""The metrics that these tables show."""

_RATES = {
    "noise_flip_rate": "predictions that differ from the noise-free one",
    "noise_any_flip_rate": "images with at least one such prediction",
    "noise_patch_flip_rate": "patches that the noise adds or takes away",
    "empty_selection_rate": "images without a selected patch, no noise",
    "noisy_empty_rate": "noisy masks without a selected patch",
}
_ACCURACIES = {"accuracy": "accuracy", "worst_group_accuracy": "worst-group accuracy"}


def noise_tables(record: RunRecord) -> list[Section]:
    """Two tables, none where no noisy mask was drawn."""
    return [_accuracies(record), _rates(record)] if row(record, "noisy_accuracy") else []


def _accuracies(record: RunRecord) -> Section:
    asked = record.explaining.get("mask_samples", {})
    masks = numbers.count(asked["samples"]) if asked else "several"
    found = [item for name in METRICS if (item := row(record, name)) is not None]
    return Section(
        "mask-noise",
        f"With and without noise in the mask, masks per image: {masks}",
        (
            Column("measure", "left", ALWAYS),
            Column("without noise", priority=ALWAYS),
            Column("with noise", priority=ALWAYS),
            Column("std", priority=8),
            Column("averaged", priority=7),
            Column("n", priority=5),
        ),
        tuple(
            _accuracy_cells(record, metric, name)
            for metric, name in _ACCURACIES.items()
            if row(record, f"noisy_{metric}")
        ),
        (
            "With noise: mean and standard deviation (ddof 1) over the noisy masks, for the worst "
            "group each with its own; averaged: the prediction from the mean probabilities.",
            *undefined_notes(found),
        ),
    )


def _accuracy_cells(record: RunRecord, metric: str, name: str) -> tuple[str, ...]:
    beside = (metric, f"noisy_{metric}", f"noisy_{metric}_std", f"averaged_{metric}")
    items = [_over_all(record, each) for each in beside]
    known = [item for item in items if item is not None and item.value is not None]
    places = min(common_places(known) + 1, 4)  # the spread is small
    count = numbers.count(items[1].n) if items[1] is not None else numbers.UNDEFINED
    return (name, *(shown(item, places).value for item in items), count)


def _over_all(record: RunRecord, metric: str) -> Metric | None:
    """The row over all images; a minimum has the name of its group."""
    return row(record, metric, group="all") or row(record, metric)


def _rates(record: RunRecord) -> Section:
    found = {name: row(record, name, group="all") for name in _RATES}
    known = [item for item in found.values() if item is not None]
    return Section(
        "mask-noise-rates",
        "What the noise changes",
        (
            Column("share of", "left", ALWAYS),
            Column("value", priority=ALWAYS),
            Column(INTERVAL, priority=7),
            Column("n", priority=5),
        ),
        tuple((_RATES[item.metric], *value_cells(item), numbers.count(item.n)) for item in known),
        methods_note(known),
    )
