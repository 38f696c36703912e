"""The numbers of the battery that belong together, in one sentence without a verdict."""

from __future__ import annotations

from ifambench.records.schema import RunRecord
from ifambench.reports.battery_cells import tiny
from ifambench.reports.battery_tables import BATTERY
from ifambench.reports.rows import IN_POINTS, rows, shown, shown_points

_WORDS = {
    "free_flip_rate": "predictions flipped by a changed background",
    "frozen_mask_flip_rate": "the same with the mask kept",
    "closure_iou": "closure IoU",
    "silhouette_over_chance": "silhouette accuracy over chance",
    "selected_area": "mask area",
    "worst_group_accuracy": "worst-group accuracy",
}


def composite(record: RunRecord) -> str:
    """Leak, flips, closure, silhouette, area and worst group, as far as they were measured."""
    if not any(item.metric in BATTERY for item in record.metrics):
        return ""
    ranges = [_range_words(record, metric, words) for metric, words in _WORDS.items()]
    parts = filter(None, [_leak_words(record), *ranges])
    return f"The mask in numbers: {'; '.join(parts)}."


def _leak_words(record: RunRecord) -> str:
    found = rows(record, "leak")
    if not found:
        return ""
    known = [item.value for item in found if item.value is not None]
    text = (
        f"largest logit change when the outside of the fixed mask is replaced {tiny(max(known))}"
        if known
        else ""
    )
    odd = [item.variant for item in found if item.value is None]
    return "; ".join(filter(None, [text, f"no number under {', '.join(odd)}" if odd else ""]))


def _range_words(record: RunRecord, metric: str, words: str) -> str:
    """The value, or the smallest and largest over the conditions."""
    found = [item for item in rows(record, metric) if item.value is not None]
    found = [item for item in found if item.group == "all" or metric.startswith("worst")]
    if not found:
        return ""
    found.sort(key=lambda item: item.value or 0.0)
    ends = [found[0], found[-1]] if len(found) > 1 else found
    texts = [(shown_points(item) if metric in IN_POINTS else shown(item)).value for item in ends]
    return f"{words} {' to '.join(dict.fromkeys(texts))}"
