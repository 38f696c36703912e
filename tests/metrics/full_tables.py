"""Tables in which every metric of predictions has a value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from metrics_support import CONTEXT, GROUPS

LABELS = ("land", "water")
VARIANTS = (
    *("original", "mixed_same", "mixed_rand", "mixed_next", "only_fg", "only_bg_t", "only_bg_b"),
    *("no_fg", "noise_foreground", "noise_background", "challenge.0", "challenge.1", "outside"),
)
ASKED = {
    "auroc": {},
    "robust_auroc": {"positive": {"place": "land"}, "negative": {"place": "water"}},
    "shortcut_gap": {"shortcuts": ["place"]},
    "relative_foreground_sensitivity": {},
    "spurious_ap": {"positive": {"kind": "class"}, "negative": {"kind": "spurious"}},
    "accuracy_drop": {"before": {"kind": "class"}, "after": {"kind": ["spurious"]}},
    "gap_id_ood": {"variants": ["outside"]},
    "class_accuracy_gap": {"variant": "outside", "label": "water"},
    "class_share_increase": {"variant": "outside", "label": "water"},
}
RICH = replace(
    CONTEXT,
    labels=LABELS,
    attributes={"place": LABELS, "kind": ("class", "spurious")},
    metrics=ASKED,
)


def rich_predictions(seed: int = 0, per_group: int = 12) -> pd.DataFrame:
    """Two classes on two places with probabilities that fit the predictions."""
    rng = np.random.default_rng(seed)
    frames = [_variant(rng, name, per_group) for name in VARIANTS]
    return pd.concat(frames, ignore_index=True)


def _variant(rng: np.random.Generator, name: str, per_group: int) -> pd.DataFrame:
    cell = np.repeat(np.arange(4), per_group)
    margin = rng.normal(0.5, 1.0, cell.size)
    y, true = cell // 2, 1 / (1 + np.exp(-margin))
    return pd.DataFrame(
        {
            "id": [f"{index:04d}" for index in range(cell.size)],
            "split": "test",
            "variant": name,
            "group": np.array(GROUPS)[cell],
            "y": y,
            "a_place": np.array(LABELS)[cell % 2],
            "a_kind": np.array(["class", "spurious"])[np.arange(cell.size) % 2],
            "y_pred": np.where(margin > 0, y, 1 - y),
            "prob_true": true,
            "prob_pred": np.maximum(true, 1 - true),
            "margin": margin,
        }
    )
