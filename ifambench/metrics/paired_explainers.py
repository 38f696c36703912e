"""Paired differences b - a of what explainers score, over the images that both runs explained.

A row needs the same explainer, image and operator in both runs; whether steps and target rule
agree is the record's to say (`explanation_differences` in `ifambench.comparable`). Each run
explains the class that its target rule gives, so with the rule `predicted` the class can differ on
images that the two models judge differently.

Areas of logits are left out: logits have no common scale between models. So is what describes a
map without a direction (area, Gini index, entropy).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ifambench.metrics.base import ScoreContext
from ifambench.metrics.column_means import column_of
from ifambench.metrics.deletion import FLOOR, is_floor, operator_of, paired_gains
from ifambench.metrics.paired import PairedRow, paired_row
from ifambench.metrics.resampling import MEAN, bootstrap_mean
from ifambench.metrics.rows import explained

HEADLINES = ("srg", "deletion_auc", "insertion_auc")
_OVER_RANDOM = ("mrg", "lrg", "srg_over_random", "deletion_auc_over_random")
OF_CURVES = (
    *HEADLINES,
    *_OVER_RANDOM,
    *("comprehensiveness", "sufficiency", "comp_mask", "suff_mask"),
)
OF_TRUE_MASKS = (
    *("relevance_mass", "mask_iou", "mask_precision", "mask_recall"),
    *("pointing_game", "rank_accuracy", "relevance_auroc"),
)
COMPARED = OF_CURVES + OF_TRUE_MASKS


def explainer_rows(a: pd.DataFrame, b: pd.DataFrame, context: ScoreContext) -> list[PairedRow]:
    """Per explainer of both runs and metric: mean difference over the images both explained.

    A metric has no row where a table lacks its column (tables of earlier versions), or where it is
    undefined on every common image.
    """
    mine, other = (_with_gains(dict(explained(side, context.groups))) for side in (a, b))
    key = ["id", "group", "operator"]
    rows = []
    for name in sorted(mine.keys() & other.keys()):
        pairs = mine[name].merge(other[name], on=key, suffixes=("_a", "_b")).sort_values("id")
        rows += list(_rows(pairs, name, context))
    return rows


def other_targets(a: pd.DataFrame, b: pd.DataFrame) -> tuple[int, int]:
    """Explained images whose explained class differs between the runs, and all common ones."""
    columns = {"id", "explainer", "operator", "target"}
    if not columns <= set(a.columns) & set(b.columns):
        return 0, 0
    pairs = a[sorted(columns)].merge(b[sorted(columns)], on=["id", "explainer", "operator"])
    differ = pairs[pairs["target_x"] != pairs["target_y"]]
    return differ["id"].nunique(), pairs["id"].nunique()


def _with_gains(parts: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of all explainers, with the gains over their floor where it was measured."""
    found = {}
    for name, frame in parts.items():
        floor = parts.get(FLOOR + operator_of(name))
        if floor is not None and not is_floor(name):
            gains = paired_gains(frame, floor)[["id", *_OVER_RANDOM]]
            frame = frame.merge(gains, on="id", how="left")
        found[name] = frame
    return found


def _rows(pairs: pd.DataFrame, explainer: str, context: ScoreContext) -> Iterator[PairedRow]:
    for metric in COMPARED:
        names = [f"{column_of(metric)}_{side}" for side in ("a", "b")]
        if not set(names) <= set(pairs.columns):
            continue
        known = pairs.dropna(subset=names)
        if known.empty:
            continue
        sides = [known[name].to_numpy(dtype=float) for name in names]
        found = bootstrap_mean(sides[1] - sides[0], known["group"], context.resamples, context.seed)
        means = (float(sides[0].mean()), float(sides[1].mean()))
        method = f"{MEAN}_{context.resamples}"
        yield paired_row(metric, means, len(known), found, method, explainer=explainer)
