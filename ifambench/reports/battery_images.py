"""On which images the battery was measured: without it its accuracies look like those of all."""

from __future__ import annotations

from ifambench.metrics import invariance, mask_probes, mask_use
from ifambench.records.schema import RunRecord
from ifambench.reports import numbers
from ifambench.reports.rows import row, shown

BATTERY = frozenset({*invariance.METRICS, *mask_use.METRICS, *mask_probes.METRICS})
"""The metrics of the battery."""


def battery_images(record: RunRecord) -> int:
    """How many images were tested, 0 without a battery."""
    return max((item.n for item in record.metrics if item.metric in BATTERY), default=0)


def images_note(record: RunRecord) -> str:
    """How many images, of which groups, and what the accuracy of all images is."""
    n = numbers.count(battery_images(record))
    sentence = f"All tables of the mask are of the same {n} images"
    if sizes := _group_sizes(record):
        low, high = min(sizes), max(sizes)
        each = numbers.count(low) if low == high else f"{numbers.count(low)} to {high:,}"
        sentence += f", {each} of each group"
    accuracy = row(record, "accuracy", group="all")
    if accuracy is not None and accuracy.value is not None:
        of_all = numbers.count(accuracy.n)
        sentence += f"; their accuracy is not that of all {of_all} ({shown(accuracy).value})"
    return f"{sentence}."


def _group_sizes(record: RunRecord) -> list[int]:
    """The images of each group, as far as a metric of the battery tells them."""
    found: dict[str, int] = {}
    for item in record.metrics:
        if item.metric in BATTERY and item.group in record.groups:
            found[item.group] = max(item.n, found.get(item.group, 0))
    return list(found.values()) if len(found) == len(record.groups) > 1 else []
