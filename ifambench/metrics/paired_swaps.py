"""Paired differences b - a of what happens when the background is replaced.

A flip of one image is right or wrong like a prediction, so two models' flips of the same images
are a 2x2 table: Bonett-Price and McNemar. `flip_rate_from_correct` has another denominator in each
run (the images that this run had right), so its difference is one of two ratios over the same
images, which is resampled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.metrics.background import RAND, SAME, pair_variants
from ifambench.metrics.base import ScoreContext
from ifambench.metrics.paired import (
    GROUP_METHOD,
    PairedRow,
    average_row,
    cell_counts,
    pair_images,
    paired_row,
    undefined,
)
from ifambench.metrics.resampling import bootstrap_paired_rates, bootstrap_statistic
from ifambench.metrics.rows import select_images
from ifambench.metrics.uncertainty import Inference, bonett_price, mcnemar

_FROM_CORRECT = "flip_rate_from_correct"


def swap_rows(a: pd.DataFrame, b: pd.DataFrame, context: ScoreContext) -> list[PairedRow]:
    """Rows of every measure for whose variants both runs have predictions.

    Args:
        a: Predictions of the baseline in the evaluated split.
        b: Predictions of the candidate.
        context: Groups and statistics.
    """
    common = sorted(set(a["variant"]) & set(b["variant"]))
    rows = [_mixed_rand_row(a, b, context)] if RAND in common else []
    if {SAME, RAND} <= set(common):
        rows += _gap_rows(_changes((a, b), SAME, RAND, context), context)
    swaps = [("original", name) for name in common if name.startswith("mixed_")]
    swaps = swaps if "original" in common else []
    swaps += [(SAME, RAND)] if {SAME, RAND} <= set(common) else []
    for before, after in swaps:
        name = after if before == "original" else f"{before}->{after}"
        rows += _flip_rows(_changes((a, b), before, after, context), name, context)
    return rows


def _mixed_rand_row(a: pd.DataFrame, b: pd.DataFrame, context: ScoreContext) -> PairedRow:
    """Difference of the accuracies on mixed_rand, over the images that both runs have there."""
    counts = cell_counts(pair_images(a, b, context, RAND), context.groups)
    counts = counts[counts.sum(axis=1) > 0]  # objects of a group can all be too large to swap
    if not counts.size:
        return undefined("mixed_rand_accuracy", 0)
    return average_row("mixed_rand_accuracy", counts, counts.sum(axis=1) / counts.sum(), context)


def _changes(
    sides: tuple[pd.DataFrame, pd.DataFrame], before: str, after: str, context: ScoreContext
) -> pd.DataFrame:
    """Images that both runs have in both variants: what each run made of the change, by id."""
    found = [
        pair_variants(*(select_images(side, context, name) for name in (before, after)))
        for side in sides
    ]
    return found[0].merge(found[1], on=["id", "group"], suffixes=("_a", "_b")).sort_values("id")


def _gap_rows(pairs: pd.DataFrame, context: ScoreContext) -> list[PairedRow]:
    """The gap of one image is 1, 0 or -1, so the difference takes the values -2 to 2."""
    variant = f"{SAME}-{RAND}"
    if pairs.empty:
        names = ("bg_gap", "bg_flip_rate", "bg_flip_back_rate")
        return [undefined(name, 0, variant=variant) for name in names]
    before, after = ([pairs[f"correct_{end}_{x}"] for x in "ab"] for end in ("before", "after"))
    gap_a, gap_b = (x.astype(int) - y.astype(int) for x, y in zip(before, after, strict=True))
    outcomes = np.arange(-2, 3)
    counts = pd.crosstab(pairs["group"], gap_b - gap_a).reindex(columns=outcomes, fill_value=0)
    weights = counts.sum(axis=1) / len(pairs)
    found = bootstrap_paired_rates(counts, outcomes, weights, context.resamples, context.seed)
    means = (float(gap_a.mean()), float(gap_b.mean()))
    method = f"bootstrap_{context.resamples}"
    return [
        paired_row("bg_gap", means, len(pairs), found, method, variant=variant),
        _share_row("bg_flip_rate", gap_a == 1, gap_b == 1, variant),
        _share_row("bg_flip_back_rate", gap_a == -1, gap_b == -1, variant),
    ]


def _flip_rows(pairs: pd.DataFrame, variant: str, context: ScoreContext) -> list[PairedRow]:
    if pairs.empty:
        return [undefined(name, 0, variant=variant) for name in ("flip_rate", _FROM_CORRECT)]
    a, b = (pairs[f"y_pred_before_{x}"] != pairs[f"y_pred_after_{x}"] for x in "ab")
    return [_share_row("flip_rate", a, b, variant), _lost_row(pairs, variant, context)]


def _share_row(metric: str, a: pd.Series, b: pd.Series, variant: str) -> PairedRow:
    """The difference of the shares of images on which something happens to a and to b."""
    n, only_a, only_b = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    found = Inference(*bonett_price(only_a, only_b, n), mcnemar(only_a, only_b))
    means = (float(a.mean()), float(b.mean()))
    return paired_row(metric, means, n, found, GROUP_METHOD, variant=variant)


def _lost_row(pairs: pd.DataFrame, variant: str, context: ScoreContext) -> PairedRow:
    """Shares of the images a run had right that the change makes wrong, each of its own."""
    states = [_state(pairs, side) for side in "ab"]
    means = [float((state == 1).sum() / max((state < 2).sum(), 1)) for state in states]
    if not all((state < 2).any() for state in states):
        return undefined(_FROM_CORRECT, 0, variant=variant)
    cells = 3 * states[0] + states[1]
    counts = pd.crosstab(pairs["group"], cells).reindex(columns=range(9), fill_value=0)
    sizes = counts.sum(axis=1).to_numpy(dtype=float)
    found = bootstrap_statistic(
        counts, lambda shares: _lost_difference(shares, sizes), context.resamples, context.seed
    )
    method = f"bootstrap_{context.resamples}"
    n = int((np.minimum(*states) < 2).sum())
    return paired_row(_FROM_CORRECT, (means[0], means[1]), n, found, method, variant=variant)


def _state(pairs: pd.DataFrame, side: str) -> NDArray[np.int64]:
    """0: right and stays so; 1: right and then wrong; 2: wrong before."""
    before, after = (pairs[f"correct_{end}_{side}"].to_numpy(bool) for end in ("before", "after"))
    return np.where(before, np.where(after, 0, 1), 2)


def _lost_difference(
    shares: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(resamples,) differences from shares (resamples, groups, 9) of the two runs' states."""
    cells = np.einsum("rgc,g->rc", shares, sizes).reshape(len(shares), 3, 3)
    rates = []
    for by_state in (cells.sum(axis=2), cells.sum(axis=1)):
        with np.errstate(invalid="ignore"):
            rates.append(by_state[:, 1] / (by_state[:, 0] + by_state[:, 1]))
    return np.asarray(rates[1] - rates[0], dtype=np.float64)
