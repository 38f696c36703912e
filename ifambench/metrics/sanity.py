"""Smoke tests of explainers: does a map follow the model, its weights, the class and the image?

A map that passes may still be wrong; one that fails says nothing about this model. How similar maps
stay depends on the kind of map (smooth, sparse, binary) at least as much as on what it follows
(Binder et al. 2023, https://arxiv.org/abs/2211.12486), so these numbers rank nothing. Each
similarity is to be read against that of the maps of two different images under the same explainer,
`other_image_similarity`: a prior for the centre alone makes maps of unrelated images similar. Where
the similarity after randomising all weights stays clearly above it, the map does not follow the
weights.

The definitions are in `ifambench/explain/sanity/`: `subsets.py` (faithfulness correlation and
infidelity), `randomise.py`, and `nearby.py` (random logit, stability, max-sensitivity). Values are
means over images for which they are defined; a remark says for how many they are not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.rows import explained, mean_rows

METRICS: dict[str, dict[str, Any]] = {
    "faithfulness_correlation": {
        "build": "sanity_rows",
        "summary": "Pearson correlation of relevance and score drop over random fifths of patches",
        "higher_is_better": True,
        "unit": "correlation",
        "version": 1,
    },
    "faithfulness_correlation_spearman": {
        "build": "sanity_rows",
        "summary": "Spearman correlation of relevance and score drop over the same subsets",
        "higher_is_better": True,
        "unit": "correlation",
        "version": 1,
    },
    "infidelity": {
        "build": "sanity_rows",
        "summary": "Squared error of relevance, best scaled, as a guess of the score drop",
        "higher_is_better": False,
        "unit": "squared probability",
        "version": 1,
    },
    "randomisation_similarity": {
        "build": "sanity_rows",
        "summary": "Spearman correlation with the map of randomised weights "
        "(smoke test, no ranking: the threshold is other_image_similarity)",
        "higher_is_better": None,
        "unit": "correlation",
        "version": 1,
    },
    "random_logit_similarity": {
        "build": "sanity_rows",
        "summary": "Spearman correlation with the map of a random other class "
        "(smoke test, no ranking; 1 by construction where the class does not matter)",
        "higher_is_better": None,
        "unit": "correlation",
        "version": 1,
    },
    "other_image_similarity": {
        "build": "sanity_rows",
        "summary": "Spearman correlation of the maps of two images: the floor of the smoke tests",
        "higher_is_better": None,
        "unit": "correlation",
        "version": 1,
    },
    "stability": {
        "build": "sanity_rows",
        "summary": "Spearman correlation with the maps of noisy images "
        "(1 for a map that ignores the image)",
        "higher_is_better": None,
        "unit": "correlation",
        "version": 1,
    },
    "max_sensitivity": {
        "build": "sanity_rows",
        "summary": "Largest relative change of the map under small noise "
        "(0 for a map that ignores the image)",
        "higher_is_better": None,
        "unit": "ratio",
        "version": 1,
    },
}

COLUMNS = ("id", "group", "explainer", "check", "value")
"""Of the table: one row per image, explainer and check."""

RANDOMISATION = "randomisation_similarity"
"""Its checks are called `randomisation_similarity:<depth>`; the depth is the variant of the row."""

_UNDEFINED = "no image with a defined value"


def sanity_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file, over all images; none when nothing was checked.

    The interval is the bootstrap within groups. Depths of randomisation are in the field `variant`.
    """
    if tables.sanity is None or tables.sanity.empty:
        return []
    return [
        _row(str(check), explainer, frame, context)
        for check, part in tables.sanity.groupby("check", sort=True)
        if str(check).partition(":")[0] in METRICS  # a later version may check more
        for explainer, frame in explained(part, context.groups)
    ]


def _row(check: str, explainer: str, frame: pd.DataFrame, context: ScoreContext) -> MetricRow:
    metric, _, depth = check.partition(":")
    fields = {"explainer": explainer} | ({"variant": depth} if depth else {})
    values = frame.assign(**{metric: frame["value"].astype(float)})
    everything = replace(context, groups=())  # few images are checked: groups would be noise
    (row,) = mean_rows(METRICS, [metric], values, everything, undefined=_UNDEFINED, **fields)
    missing = len(frame) - row.n
    if missing and row.n:
        return replace(row, reason=f"undefined for {missing} of {len(frame)} images")
    return row
