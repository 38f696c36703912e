"""Battery T1 to T5: what reaches the prediction past the mask, and what moves the mask.

A two-stage model is f(x) = g(x, M(x)): M chooses patches, g sees them. Two claims are different.
*Given the mask*, nothing outside it reaches the prediction (T1, T2): true by construction if no
path leaks, and then the change is exactly 0. *How the mask was found* is another matter: it may
follow the background (T3, T4) or need what it hides (T5).

With x' = the object of x on another background and M' = M(x'), the change of the prediction is
split into content and mask: f flips freely (`free_flip_rate`), with the mask kept, g(x', M)
(`frozen_mask_flip_rate`), and with the mask alone changed, g(x, M') (`mask_only_flip_rate`).

Closure: the mask is searched again where only the masked part is shown. 1 - `closure_iou` is how
far the mask depends on what it hides. A mask of everything passes T1 and T5 trivially: see its
area.
"""

from __future__ import annotations

from typing import Any

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.battery_rows import (
    changed_rows,
    largest_rows,
    rate_rows,
    value_rows,
    worst_flip_rows,
)

METRICS: dict[str, dict[str, Any]] = {
    "leak": {
        "build": "invariance_rows",
        "summary": "Largest change of a logit when the outside of the fixed mask is replaced",
        "higher_is_better": False,
        "unit": "logit",
        "version": 1,
    },
    "leak_rate": {
        "build": "invariance_rows",
        "summary": "Share of images whose logits change at all when the outside is replaced",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "leak_gradient": {
        "build": "invariance_rows",
        "summary": "Largest gradient of the target's logit in a pixel outside the fixed mask",
        "higher_is_better": False,
        "unit": "logit",
        "version": 1,
    },
    "batch_change": {
        "build": "invariance_rows",
        "summary": "Largest change of a logit when images are taken one by one: rounding",
        "higher_is_better": False,
        "unit": "logit",
        "version": 1,
    },
    "embedding_leak": {
        "build": "invariance_rows",
        "summary": "Largest change of the token of another patch when one patch is replaced",
        "higher_is_better": False,
        "unit": "embedding",
        "version": 1,
    },
    "free_flip_rate": {
        "build": "invariance_rows",
        "summary": "Share of predictions that change with the background",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "frozen_mask_flip_rate": {
        "build": "invariance_rows",
        "summary": "Share of predictions that change with the background while the mask is kept",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "mask_only_flip_rate": {
        "build": "invariance_rows",
        "summary": "Share of predictions that change with the mask of the changed image alone",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "worst_group_free_flip_rate": {
        "build": "invariance_rows",
        "summary": "Largest free_flip_rate of a group",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "worst_group_frozen_mask_flip_rate": {
        "build": "invariance_rows",
        "summary": "Largest frozen_mask_flip_rate of a group",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "worst_group_mask_only_flip_rate": {
        "build": "invariance_rows",
        "summary": "Largest mask_only_flip_rate of a group",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "mask_stability": {
        "build": "invariance_rows",
        "summary": "IoU of the masks before and after the background is changed",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "mask_recall_swapped": {
        "build": "invariance_rows",
        "summary": "Share of the object that the mask holds after the background is changed",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "background_admission": {
        "build": "invariance_rows",
        "summary": "Share of the mask that lies outside the object after the background is changed",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "mask_area_swapped": {
        "build": "invariance_rows",
        "summary": "Share of the patches in the mask after the background is changed",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "mask_self_iou": {
        "build": "invariance_rows",
        "summary": "IoU of the masks of two runs on the same image: the ceiling of mask_stability",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "closure_iou": {
        "build": "invariance_rows",
        "summary": "IoU of the mask with the one found when only the masked part is shown",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "closure_agreement": {
        "build": "invariance_rows",
        "summary": "Share of predictions that stay when only the masked part is shown",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
}

LARGEST = {
    "leak": ("T1", "logit_change"),
    "leak_gradient": ("T1", "gradient"),
    "batch_change": ("T1", "batch_change"),
    "embedding_leak": ("T2", "token_change"),
}
"""Changes that should be exactly 0, but for the rounding of `batch_change`."""

FLIPS = {
    "free_flip_rate": ("T3", "free_flip"),
    "frozen_mask_flip_rate": ("T3", "frozen_flip"),
    "mask_only_flip_rate": ("T3", "mask_only_flip"),
}
"""Rates of flips, which also have a row for the worst group."""

_MEANS = {
    "mask_stability": ("T4", "iou"),
    "mask_recall_swapped": ("T4", "recall"),
    "background_admission": ("T4", "admission"),
    "mask_area_swapped": ("T4", "area"),
    "mask_self_iou": ("T4", "self_iou"),
    "closure_iou": ("T5", "iou"),
}


def invariance_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file for the quantities that were measured."""
    worst = {f"worst_group_{name}": place for name, place in FLIPS.items()}
    changed = {"leak_rate": LARGEST["leak"]}
    agreement = {"closure_agreement": ("T5", "agrees")}
    return [
        *largest_rows(METRICS, LARGEST, tables, context),
        *changed_rows(METRICS, changed, tables, context),
        *rate_rows(METRICS, FLIPS, tables, context),
        *worst_flip_rows(METRICS, worst, tables, context),
        *value_rows(METRICS, _MEANS, tables, context),
        *rate_rows(METRICS, agreement, tables, context),
    ]
