"""Battery T6 to T10: is the mask a hidden channel, is it needed, and what breaks when it breaks?

T6: the *shape* of the mask can name the class where no pixel of the object is left
(`silhouette_accuracy`); the probes of `mask_probes` ask the same of the mask as a table. T7: masks
of the same area take the place of the own one. `specificity` is the score with the own mask less
that with a random one, `necessity` the score with all patches less that with the complement of the
mask, both per image. T8: the mask as one operating point, and the model's own ranking as a curve,
both by the model's own masking. T9: an attack that may only change what lies outside the mask;
where nothing leaks, each of its successes must have moved the mask, so `attack_success_same_mask`
must be 0. T10: one stage drawn anew: if the accuracy stays with a random first stage that selects
the same area, the mask is irrelevant; one that selects nearly everything keeps it in any case.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.battery_rows import (
    conditions,
    paired_difference_rows,
    rate_rows,
    value_rows,
)
from ifambench.metrics.rows import make_row, rate_row
from ifambench.metrics.uncertainty import wilson

METRICS: dict[str, dict[str, Any]] = {
    "silhouette_accuracy": {
        "build": "mask_use_rows",
        "summary": "Accuracy from the shape of the mask alone, its content replaced",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "silhouette_over_chance": {
        "build": "mask_use_rows",
        "summary": "silhouette_accuracy less the share of the largest class",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "mask_exchange_accuracy": {
        "build": "mask_use_rows",
        "summary": "Accuracy with the mask of another image of the class, cut to the own area",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "control_accuracy": {
        "build": "mask_use_rows",
        "summary": "Accuracy with the own mask and with masks that it is compared with",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "control_score": {
        "build": "mask_use_rows",
        "summary": "Mean score of the target with the own mask and with masks it is compared with",
        "higher_is_better": None,
        "unit": "probability",
        "version": 1,
    },
    "specificity": {
        "build": "mask_use_rows",
        "summary": "Score with the own mask less that with a random mask of equal area",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "necessity": {
        "build": "mask_use_rows",
        "summary": "Score with all patches less that with the complement of the mask",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "operating_comprehensiveness": {
        "build": "mask_use_rows",
        "summary": "Score with all patches less that without those of the mask",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "operating_sufficiency": {
        "build": "mask_use_rows",
        "summary": "Score with all patches less that of the masked ones alone",
        "higher_is_better": False,
        "unit": "probability",
        "version": 1,
    },
    "ranking_srg": {
        "build": "mask_use_rows",
        "summary": "SRG of the model's own ranking of the patches, with its own masking",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "attack_success_rate": {
        "build": "mask_use_rows",
        "summary": "Share of predictions that an attack outside the mask changes",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "attack_success_same_mask": {
        "build": "mask_use_rows",
        "summary": "Share of successful attacks that left the mask as it was",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "randomised_accuracy": {
        "build": "mask_use_rows",
        "summary": "Accuracy with one stage drawn anew",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "randomised_mask_iou": {
        "build": "mask_use_rows",
        "summary": "IoU with the mask of the trained model when one stage is drawn anew",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "randomised_mask_area": {
        "build": "mask_use_rows",
        "summary": "Share of patches in the mask when one stage is drawn anew",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
}

_RATES = {
    "silhouette_accuracy": ("T6", "silhouette_correct"),
    "mask_exchange_accuracy": ("T6", "exchange_correct"),
    "control_accuracy": ("T7", "correct"),
    "attack_success_rate": ("T9", "success"),
    "randomised_accuracy": ("T10", "correct"),
}
_MEANS = {
    "control_score": ("T7", "score"),
    "operating_comprehensiveness": ("T8", "comprehensiveness"),
    "operating_sufficiency": ("T8", "sufficiency"),
    "ranking_srg": ("T8", "srg"),
    "randomised_mask_iou": ("T10", "mask_iou"),
    "randomised_mask_area": ("T10", "area"),
}
_CONTROL = "random_shape"
"""Silhouettes of random masks, means over draws: what the others are compared with."""

_DIFFERENCES = {"specificity": ("own", "random"), "necessity": ("all", "complement")}


def mask_use_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file for the quantities that were measured."""
    rows = rate_rows(METRICS, _RATES, tables, context)
    rows += value_rows(METRICS, _MEANS, tables, context)
    for metric, minus in _DIFFERENCES.items():
        rows += paired_difference_rows(METRICS, metric, ("T7", "score"), minus, tables, context)
    return rows + _over_chance(tables, context) + _same_mask(tables, context)


def _over_chance(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Silhouette accuracy less what always guessing the largest class attains on these images."""
    rows = []
    for condition, frame in conditions(tables, *_RATES["silhouette_accuracy"], context):
        known = frame[frame["value"].notna()]
        if known.empty or condition.startswith(_CONTROL):
            continue
        share = float(known["y"].value_counts(normalize=True).max())
        right, n = int(known["value"].sum()), len(known)
        low, high = wilson(right, n)
        limits = {"ci_low": low - share, "ci_high": high - share, "ci_method": "wilson"}
        value, where = right / n - share, {"variant": condition, **limits}
        rows.append(make_row(METRICS, "silhouette_over_chance", value, n, **where))
    return rows


def _same_mask(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    changed = dict(conditions(tables, "T9", "mask_changed", context))
    rows = []
    for condition, frame in conditions(tables, *_RATES["attack_success_rate"], context):
        hit = frame.loc[frame["value"] == 1, "id"]
        moved = _of(changed.get(condition), hit)
        rows.append(
            rate_row(
                METRICS,
                "attack_success_same_mask",
                int((moved == 0).sum()),
                len(moved),
                variant=condition,
                undefined="no attack succeeded" if hit.empty else "the masks were not compared",
            )
        )
    return rows


def _of(frame: pd.DataFrame | None, ids: pd.Series) -> pd.Series:
    """The known values of these images."""
    if frame is None:
        return pd.Series(dtype=float)
    return frame.loc[frame["id"].isin(ids), "value"].dropna()
