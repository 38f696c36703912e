"""Small prediction and explanation tables for the tests of `ifambench.metrics`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables

GROUPS = ("land/land", "land/water", "water/land", "water/water")
CONTEXT = ScoreContext(
    groups=GROUPS, train_shares=(0.73, 0.04, 0.01, 0.22), minority=GROUPS[1:3], resamples=200
)


def predictions(
    outcomes: Mapping[str, list[int]], variant: str = "original", split: str = "test"
) -> pd.DataFrame:
    """One row per predicted class; the true class is 0 in every group."""
    rows = [
        {
            "id": f"{group}-{index:04d}",
            "split": split,
            "variant": variant,
            "group": group,
            "y": 0,
            "y_pred": y_pred,
        }
        for group, classes in outcomes.items()
        for index, y_pred in enumerate(classes)
    ]
    return pd.DataFrame(rows, columns=["id", "split", "variant", "group", "y", "y_pred"])


def rates(counts: Mapping[str, tuple[int, int]], **where: str) -> pd.DataFrame:
    """Predictions with (right, all) images per group."""
    outcomes = {group: [0] * right + [1] * (n - right) for group, (right, n) in counts.items()}
    return predictions(outcomes, **where)


def explanations(explainer: str, seed: int, per_group: int = 6, **columns: object) -> pd.DataFrame:
    """Random areas for `per_group` images of each group."""
    rng = np.random.default_rng(seed)
    ids = [f"{group}-{index:04d}" for group in GROUPS for index in range(per_group)]
    frame = pd.DataFrame({"id": ids, "group": np.repeat(GROUPS, per_group)})
    areas = rng.uniform(size=(2, len(ids)))
    frame = frame.assign(explainer=explainer, operator="mean")
    frame = frame.assign(deletion_auc=areas[0], insertion_auc=areas[1], srg=areas[1] - areas[0])
    undefined = ("relevance_mass", "mask_iou", "mask_precision", "mask_recall", "area")
    return frame.assign(**dict.fromkeys(undefined, np.nan)).assign(**columns)


def sanity(maps: pd.DataFrame) -> pd.DataFrame:
    """A random value of every check for the images of an explainer."""
    from ifambench.metrics import sanity as checks

    names = [*checks.METRICS, "randomisation_similarity:all"]
    names.remove("randomisation_similarity")
    rng = np.random.default_rng(0)
    shared = maps[["id", "group", "explainer"]]
    return pd.concat(
        [shared.assign(check=name, value=rng.random(len(maps))) for name in names],
        ignore_index=True,
    )


def mask_samples(images: pd.DataFrame, samples: int = 3) -> pd.DataFrame:
    """Random predictions of the images without noise and under noisy masks."""
    rng, n = np.random.default_rng(0), len(images)
    given = images[["id", "split", "variant", "group", "y"]]
    averaged = rng.integers(0, 2, n)
    parts = [
        given.assign(
            sample=sample,
            y_pred=rng.integers(0, 2, n),
            n_selected=rng.integers(0, 5, n),
            patch_flips=rng.random(n) * (sample > 0),
            y_pred_averaged=averaged,
        )
        for sample in range(samples + 1)
    ]
    return pd.concat(parts, ignore_index=True)


def tables(frame: pd.DataFrame, maps: pd.DataFrame | None = None) -> Tables:
    return Tables(frame, pd.DataFrame() if maps is None else maps)


def find(rows: list[MetricRow], metric: str, **where: object) -> MetricRow:
    """The only row with these fields."""
    found = [
        row
        for row in rows
        if row.metric == metric and all(getattr(row, key) == value for key, value in where.items())
    ]
    assert len(found) == 1, f"{len(found)} rows for {metric} {where}"
    return found[0]
