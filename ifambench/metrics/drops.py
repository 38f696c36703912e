"""What accuracy falls by: from one kind of images to another, and from the originals to a variant.

- `accuracy_drop` = acc(before) - acc(after) of two sets of images that the protocol names by their
  attributes, for instance common and counter backgrounds (CounterAnimal);
- `gap_id_ood` = acc(original) - acc(variant), a row for each variant that the protocol names. The
  "IN-W gap" of ImageNet-W is this with the opposite sign;
- `class_share_increase`: share of the images of a variant predicted as a certain class, minus that
  of the original images (the "carton gap" of ImageNet-W).

Images of both sides are paired where they have the same ids; else the samples are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.on_request import cell_name, in_cell
from ifambench.metrics.rows import difference_row, make_row, select_images

METRICS: dict[str, dict[str, Any]] = {
    "accuracy_drop": {
        "build": "drop_rows",
        "summary": "Accuracy on one kind of images minus accuracy on another",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
        "params": {"before": "cell", "after": "cell"},
    },
    "gap_id_ood": {
        "build": "drop_rows",
        "summary": "Accuracy on the original images minus an out-of-distribution variant",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
        "params": {"variants": "variants"},
    },
    "class_share_increase": {
        "build": "drop_rows",
        "summary": "How much more often a variant is predicted as a certain class",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
        "params": {"variant": "variant", "label": "label"},
    },
}


def drop_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of the metrics of this file that the protocol asks for."""
    asked = {name: context.metrics[name] for name in METRICS if name in context.metrics}
    if not asked:
        return []
    images = select_images(tables.predictions, context)
    rows = []
    if "accuracy_drop" in asked:
        rows.append(_drop_row(images, asked["accuracy_drop"], context))
    for variant in asked.get("gap_id_ood", {}).get("variants", ()):
        after = select_images(tables.predictions, context, variant)
        rows.append(_variant_row("gap_id_ood", images, after, variant))
    if "class_share_increase" in asked:
        rows.append(_share_row(tables, images, asked["class_share_increase"], context))
    return rows


def _drop_row(images: pd.DataFrame, params: Mapping[str, Any], context: ScoreContext) -> MetricRow:
    sides = [images[in_cell(images, params[side], context)] for side in ("before", "after")]
    for side, part in zip(("before", "after"), sides, strict=True):
        if part.empty:
            reason = f"no image with {cell_name(params[side])}"
            return make_row(METRICS, "accuracy_drop", None, 0, reason=reason)
    return difference_row(METRICS, "accuracy_drop", sides[0], sides[1])


def _variant_row(metric: str, before: pd.DataFrame, after: pd.DataFrame, variant: str) -> MetricRow:
    if after.empty:
        reason = f"variants not evaluated: {variant}"
        return make_row(METRICS, metric, None, 0, variant=variant, reason=reason)
    return difference_row(METRICS, metric, before, after, variant=variant)


def _share_row(
    tables: Tables, images: pd.DataFrame, params: Mapping[str, Any], context: ScoreContext
) -> MetricRow:
    variant, target = params["variant"], context.labels.index(params["label"])
    after = select_images(tables.predictions, context, variant)
    sides = [part.assign(correct=part["y_pred"] == target) for part in (after, images)]
    if after.empty:
        return _variant_row("class_share_increase", images, after, variant)
    return difference_row(METRICS, "class_share_increase", sides[0], sides[1], variant=variant)
