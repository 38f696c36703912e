"""What accuracy falls by: from one kind of images to another, and from the originals to a variant.

- `accuracy_drop` = acc(before) - acc(after) of two sets of images that the protocol names by their
  attributes, for instance common and counter backgrounds (CounterAnimal);
- `gap_id_ood` = acc(original) - acc(variant), a row for each variant that the protocol names. The
  "IN-W gap" of ImageNet-W is this with the opposite sign;
- `class_accuracy_gap` = acc(variant) - acc(original) on the images of one class. Positive means
  that what the variant adds speaks for that class (the "carton gap" in the code of ImageNet-W);
- `class_share_increase`: share of all images of a variant predicted as a certain class, minus that
  of the original images.

The images of a variant are paired with the originals of the same id; where there are none, the
samples are independent. So are those of `accuracy_drop`, which must not overlap.
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
    "class_accuracy_gap": {
        "build": "drop_rows",
        "summary": "Accuracy on the images of one class in a variant, minus on the originals",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
        "params": {"variant": "variant", "label": "label"},
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
    of_class = [name for name in ("class_accuracy_gap", "class_share_increase") if name in asked]
    return rows + [_class_row(name, tables, images, asked[name], context) for name in of_class]


def _drop_row(images: pd.DataFrame, params: Mapping[str, Any], context: ScoreContext) -> MetricRow:
    sides = [images[in_cell(images, params[side], context)] for side in ("before", "after")]
    for side, part in zip(("before", "after"), sides, strict=True):
        if part.empty:
            reason = f"no image with {cell_name(params[side])}"
            return make_row(METRICS, "accuracy_drop", None, 0, reason=reason)
    if sides[0]["id"].isin(sides[1]["id"]).any():
        reason = "the two kinds have images in common"
        return make_row(METRICS, "accuracy_drop", None, 0, reason=reason)
    return difference_row(METRICS, "accuracy_drop", sides[0], sides[1])


def _variant_row(metric: str, before: pd.DataFrame, after: pd.DataFrame, variant: str) -> MetricRow:
    if after.empty:
        reason = f"variants not evaluated: {variant}"
        return make_row(METRICS, metric, None, 0, variant=variant, reason=reason)
    return difference_row(METRICS, metric, before, after, variant=variant)


def _class_row(
    metric: str,
    tables: Tables,
    images: pd.DataFrame,
    params: Mapping[str, Any],
    context: ScoreContext,
) -> MetricRow:
    """The rise of "predicted as the class", over its own images or over all."""
    variant, target = params["variant"], context.labels.index(params["label"])
    after = select_images(tables.predictions, context, variant)
    if after.empty:
        return _variant_row(metric, images, after, variant)
    sides = [part.assign(correct=part["y_pred"] == target) for part in (after, images)]
    if metric == "class_accuracy_gap":
        sides = [part[part["y"] == target] for part in sides]
        if any(part.empty for part in sides):
            reason = f"no image of the class {params['label']}"
            return make_row(METRICS, metric, None, 0, variant=variant, reason=reason)
    return difference_row(METRICS, metric, sides[0], sides[1], variant=variant)
