"""A battery table and stored masks with every quantity that metrics ask for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from metrics_support import GROUPS

from ifambench.metrics.selections import pack_masks

GRID = (4, 3)
RATES = {
    ("T3", "free_flip"): ("same", "random"),
    ("T3", "frozen_flip"): ("same", "random"),
    ("T3", "mask_only_flip"): ("same", "random"),
    ("T5", "agrees"): ("mean", "noise"),
    ("T6", "silhouette_correct"): ("constant", "texture", "random_shape"),
    ("T6", "exchange_correct"): ("",),
    ("T7", "correct"): ("own", "random", "complement", "all"),
    ("T9", "success"): ("",),
    ("T9", "mask_changed"): ("",),
    ("T10", "correct"): ("stage_1", "stage_2"),
}
VALUES = {
    ("T1", "logit_change"): ("zero", "nan"),
    ("T1", "gradient"): ("outside",),
    ("T1", "batch_change"): ("single",),
    ("T2", "token_change"): ("",),
    ("T4", "iou"): ("same", "random"),
    ("T4", "recall"): ("same", "random"),
    ("T4", "admission"): ("same", "random"),
    ("T4", "area"): ("same", "random"),
    ("T4", "self_iou"): ("",),
    ("T5", "iou"): ("mean", "noise"),
    ("T7", "score"): ("own", "random", "complement", "all"),
    ("T8", "comprehensiveness"): ("",),
    ("T8", "sufficiency"): ("",),
    ("T8", "srg"): ("",),
    ("T10", "mask_iou"): ("stage_1", "stage_2"),
    ("T10", "area"): ("stage_1", "stage_2"),
}


def images(per_group: int = 8) -> pd.DataFrame:
    """Images of the four groups, whose names are class and place."""
    group = np.repeat(GROUPS, per_group)
    return pd.DataFrame(
        {
            "id": [f"{name}-{k % per_group:03d}" for k, name in enumerate(group)],
            "group": group,
            "y": np.repeat([0, 0, 1, 1], per_group),
            "a_place": np.repeat(["land", "water", "land", "water"], per_group),
        }
    )


def lines(
    values: Mapping[str, object], test: str, quantity: str, condition: str = ""
) -> pd.DataFrame:
    """One quantity under one condition; a value per image, or one for all."""
    frame = images().assign(test=test, quantity=quantity, condition=condition, **values)
    return frame[["id", "group", "y", "a_place", "test", "quantity", "condition", "value"]]


def battery(seed: int = 0) -> pd.DataFrame:
    """Random values of all quantities."""
    rng = np.random.default_rng(seed)
    n = len(images())
    frames = []
    for kinds, draw in (
        (RATES, lambda: rng.integers(0, 2, n).astype(float)),
        (VALUES, lambda: rng.random(n)),
    ):
        for (test, quantity), conditions in kinds.items():
            frames += [lines({"value": draw()}, test, quantity, name) for name in conditions]
    return pd.concat(frames, ignore_index=True)


def selections(seed: int = 0, per_group: int = 8) -> pd.DataFrame:
    """Random masks of the images."""
    masks = np.random.default_rng(seed).random((4 * per_group, *GRID)) < 0.5
    frame = images(per_group).assign(variant="original", mask=pack_masks(masks))
    return frame[["id", "variant", "group", "y", "a_place", "mask"]]
