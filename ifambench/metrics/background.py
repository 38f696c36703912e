"""What happens when the background is replaced: accuracy per variant, background gap, flips.

The background gap is acc(mixed_same) - acc(mixed_rand): the same foregrounds, once on a background
of their own class and once on one of a random class. Positive is worse. (Xiao et al. 2020,
https://arxiv.org/abs/2006.09994; others report it with the opposite sign.) A gap can hide flips
that cancel, so the flip rates are given too: under the name of a swapped variant against the
original images, and as `mixed_same->mixed_rand` between the two.

`bg_flip_rate` and `bg_flip_back_rate` are the two cells whose difference the gap is: foregrounds
that are right on mixed_same and wrong on mixed_rand, and the reverse. Where the two variants have
no image in common, the gap is that of two independent samples and has no flips.

The gap always has a row, with a reason when a variant is missing, because gates and rankings ask
for it by name. The other metrics have rows for the variants that are there.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.rows import difference_row, make_row, rate_row, select_images

METRICS: dict[str, dict[str, Any]] = {
    "variant_accuracy": {
        "build": "background_rows",
        "summary": "Accuracy on one image variant; whether high is good depends on the variant",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "bg_gap": {
        "build": "background_rows",
        "summary": "Accuracy on mixed_same minus accuracy on mixed_rand, on the same foregrounds",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "bg_flip_rate": {
        "build": "background_rows",
        "summary": "Share of foregrounds that are right on mixed_same and wrong on mixed_rand",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "bg_flip_back_rate": {
        "build": "background_rows",
        "summary": "Share of foregrounds that are wrong on mixed_same and right on mixed_rand",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "flip_rate": {
        "build": "background_rows",
        "summary": "Share of images whose prediction changes with the background",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "flip_rate_from_correct": {
        "build": "background_rows",
        "summary": "Share of the images that were right which the new background makes wrong",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
}

SAME, RAND = "mixed_same", "mixed_rand"


def background_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file for the variants that the predictions hold."""
    variants = present_variants(tables.predictions, context)
    images = {name: select_images(tables.predictions, context, name) for name in variants}
    rows = [row for name, part in images.items() for row in _accuracy_rows(part, name, context)]
    rows += _gap_rows(images)
    if "original" in images:
        for name in variants:
            if name.startswith("mixed_"):
                rows += _flip_rows(images["original"], images[name], name)
    if SAME in images and RAND in images:
        rows += _flip_rows(images[SAME], images[RAND], f"{SAME}->{RAND}")
    return rows


def present_variants(predictions: pd.DataFrame, context: ScoreContext) -> list[str]:
    """Names of the variants of the evaluated split, sorted."""
    return sorted(predictions.loc[predictions["split"] == context.split, "variant"].unique())


def pair_variants(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The images that both variants have: `correct_before, correct_after`, ... by id."""
    columns = ["id", "y_pred", "correct"]
    return (
        before[[*columns, "group"]]
        .merge(after[columns], on="id", suffixes=("_before", "_after"), validate="one_to_one")
        .sort_values("id", ignore_index=True)
    )


def _accuracy_rows(part: pd.DataFrame, variant: str, context: ScoreContext) -> list[MetricRow]:
    rows = []
    for group in context.scopes:
        right = part["correct"] if group == "all" else part.loc[part["group"] == group, "correct"]
        fields = {"variant": variant, "group": group}
        rows.append(rate_row(METRICS, "variant_accuracy", int(right.sum()), len(right), **fields))
    return rows


def _gap_rows(images: dict[str, pd.DataFrame]) -> list[MetricRow]:
    variant = f"{SAME}-{RAND}"
    missing = [name for name in (SAME, RAND) if name not in images]
    if missing:
        reason = f"variants not evaluated: {', '.join(missing)}"
        return [make_row(METRICS, "bg_gap", None, 0, variant=variant, reason=reason)]
    gap = difference_row(METRICS, "bg_gap", images[SAME], images[RAND], variant=variant)
    pairs = pair_variants(images[SAME], images[RAND])
    if pairs.empty:
        return [gap]
    lost = int((pairs["correct_before"] & ~pairs["correct_after"]).sum())
    won = int((pairs["correct_after"] & ~pairs["correct_before"]).sum())
    cells = {"bg_flip_rate": lost, "bg_flip_back_rate": won}
    flips = [rate_row(METRICS, name, k, len(pairs), variant=variant) for name, k in cells.items()]
    return [gap, *flips]


def _flip_rows(before: pd.DataFrame, after: pd.DataFrame, variant: str) -> list[MetricRow]:
    pairs = pair_variants(before, after)
    flips = int((pairs["y_pred_before"] != pairs["y_pred_after"]).sum())
    right = pairs[pairs["correct_before"]]
    lost = int((~right["correct_after"]).sum())
    none, nothing_right = "no image is in both variants", "no image was right before the change"
    return [
        rate_row(METRICS, "flip_rate", flips, len(pairs), variant=variant, undefined=none),
        rate_row(
            METRICS,
            "flip_rate_from_correct",
            lost,
            len(right),
            variant=variant,
            undefined=nothing_right,
        ),
    ]
