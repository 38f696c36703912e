"""The numbers of the battery that belong together, in one sentence without a verdict."""

from __future__ import annotations

from ifambench.records.schema import RunRecord
from ifambench.reports import numbers
from ifambench.reports.battery_cells import tiny
from ifambench.reports.battery_images import BATTERY, battery_images
from ifambench.reports.rows import IN_POINTS, common_places, rows, shown, shown_points

_WORDS = {
    "free_flip_rate": "predictions flipped by a changed background",
    "frozen_mask_flip_rate": "the same with the mask kept",
    "closure_iou": "closure IoU",
    "silhouette_over_chance": "silhouette accuracy over chance",
    "attack_success_rate": "predictions changed by an attack outside the mask",
    "selected_area": "mask area",
    "worst_group_accuracy": "worst-group accuracy (all images)",
}


def composite(record: RunRecord) -> str:
    """Leak, flips, closure, silhouette, attack, area and worst group, as far as measured."""
    if not any(item.metric in BATTERY for item in record.metrics):
        return ""
    ranges = [_range_words(record, metric, words) for metric, words in _WORDS.items()]
    parts = filter(None, [_leak_words(record), *ranges])
    images = numbers.count(battery_images(record))
    return f"The mask in numbers, on {images} images: {'; '.join(parts)}."


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
    places = common_places(found)
    is_difference = metric in IN_POINTS
    texts = [(shown_points(item) if is_difference else shown(item, places)).value for item in ends]
    return f"{words} {' to '.join(dict.fromkeys(texts))}"
