"""What is said of a relevance map without asking the model: where it lies and how it is spread.

All scores are per image and on the patch grid. Locations are judged by the *coverage* of each
patch, the share of its pixels on the object, which gives exactly the pixel scores of the
nearest-upsampled map (see `ifambench.metrics.localization`). Patches of equal relevance share a
place in the order in expectation, so no score depends on the raster order of a tie.

- Pointing game (Zhang et al. 2018, https://arxiv.org/abs/1608.00507): the share of the tied maxima
  that are object patches, those covered by half or more. A constant map has every patch as its
  maximum, so it scores the share of object patches instead of a hit. The published game tolerates
  15 pixels and averages over classes first; here a patch is the tolerance, and images are averaged.
- Relevance rank accuracy (Arras, Osman and Samek 2022, https://arxiv.org/abs/2003.07258): of as
  many top pixels as the object has, the share on the object. For a selection of exactly the
  object's size, IoU = RRA / (2 - RRA).
- ROC-AUC of the relevance as a score for "this pixel is object"; 0.5 for a constant map.

A score that does not exist is NaN: no object mask, an empty one, an image that is all object
(ROC-AUC), no patch that is half object (pointing game), a map that is not finite.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifambench.metrics.complexity import entropy, gini
from ifambench.metrics.localization import mask_scores, relevance_mass

__all__ = ["map_scores", "pointing", "rank_accuracy", "relevance_auroc"]

Map = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]

OBJECT_PATCH = 0.5
"""Coverage from which on a patch counts as object in the pointing game."""

_SELECTION = ("mask_iou", "mask_precision", "mask_recall", "area")


class _Ranked(NamedTuple):
    """Patches by ascending relevance: their order, and for each the ends of its run of ties."""

    order: NDArray[np.intp]  # (N, n)
    first: NDArray[np.intp]  # (N, n) position at which the ties of this patch begin
    last: NDArray[np.intp]  # (N, n) position after the last of them


def map_scores(relevance: Map, coverage: Scores, *, binary: bool) -> dict[str, Scores]:
    """Every score of a map that needs no model, as columns of the explanation table.

    Args:
        relevance: (N, h, w) signed relevance.
        coverage: (N, h, w) share of each patch on the object, NaN for images without a mask.
        binary: Whether the maps select patches (those above 0). The scores of a selection are NaN
            for other maps.

    Returns:
        (N,) values each of `relevance_mass, pointing, rank_accuracy, auroc, gini, entropy,
        mask_iou, mask_precision, mask_recall, area`.
    """
    finite = np.isfinite(relevance.reshape(len(relevance), -1)).all(axis=1)
    known = np.where(finite.reshape(-1, 1, 1), relevance, 0)
    found = {
        "relevance_mass": relevance_mass(known, coverage),
        "pointing": pointing(known, coverage),
        "rank_accuracy": rank_accuracy(known, coverage),
        "auroc": relevance_auroc(known, coverage),
        "gini": gini(known),
        "entropy": entropy(known),
        **_selection_scores(known, coverage, binary),
    }
    return {name: np.where(finite, values, np.nan) for name, values in found.items()}


def pointing(relevance: Map, coverage: Scores) -> Scores:
    """Share of the patches of maximal relevance that are object patches, per image.

    Returns:
        (N,) shares in [0, 1]; NaN where no patch is at least half object.
    """
    best = relevance == relevance.max(axis=(1, 2), keepdims=True)
    on_object = coverage >= OBJECT_PATCH
    hits = (best & on_object).sum(axis=(1, 2)) / np.maximum(best.sum(axis=(1, 2)), 1)
    return np.where(on_object.any(axis=(1, 2)), hits, np.nan)


def rank_accuracy(relevance: Map, coverage: Scores) -> Scores:
    """Share on the object of the K most relevant pixels, K the number of the object's pixels.

    In patches K = sum of the coverage, a fraction: tied patches, and the pixels of the last patch,
    share the places that are left, so this is the expected score over their orders.

    Returns:
        (N,) shares in [0, 1]; NaN for an empty or missing object.
    """
    ranked, covered = _ranked(relevance), _flat(coverage)
    places = covered.sum(axis=1, keepdims=True)
    better = relevance[0].size - ranked.last  # the patches above this run of ties
    filled = np.clip((places - better) / (ranked.last - ranked.first), 0, 1)
    hits = (filled * np.take_along_axis(covered, ranked.order, axis=1)).sum(axis=1)
    return _divide(hits, places[:, 0])


def relevance_auroc(relevance: Map, coverage: Scores) -> Scores:
    """Area under the ROC curve of the pixels' relevance against the object mask.

    The chance that a random object pixel is more relevant than a random other pixel, ties counting
    half.

    Returns:
        (N,) areas in [0, 1]; NaN where object or background is missing.
    """
    ranked = _ranked(relevance)
    inside = np.take_along_axis(_flat(coverage), ranked.order, axis=1)
    below = np.concatenate([np.zeros((len(inside), 1)), np.cumsum(1 - inside, axis=1)], axis=1)
    beaten = [np.take_along_axis(below, ends, axis=1) for ends in (ranked.first, ranked.last)]
    wins = (inside * (beaten[0] + beaten[1]) / 2).sum(axis=1)
    return _divide(wins, inside.sum(axis=1) * (1 - inside).sum(axis=1))


def _selection_scores(relevance: Map, coverage: Scores, binary: bool) -> dict[str, Scores]:
    if not binary:
        return {name: np.full(len(relevance), np.nan) for name in _SELECTION}
    selected = relevance > 0
    columns = (*mask_scores(selected, coverage), selected.mean(axis=(1, 2)))
    return dict(zip(_SELECTION, columns, strict=True))


def _ranked(relevance: Map) -> _Ranked:
    values = _flat(relevance)
    order = np.argsort(values, axis=1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=1)
    position = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    steps = ascending[:, 1:] != ascending[:, :-1]
    edge = np.ones((len(values), 1), dtype=bool)
    begins, ends = np.hstack([edge, steps]), np.hstack([steps, edge])
    first = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    after = np.where(ends, position + 1, values.shape[1])
    last = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
    return _Ranked(order, first, last)


def _flat(values: NDArray[Any]) -> Scores:
    return np.asarray(values.reshape(len(values), -1), dtype=np.float64)


def _divide(part: Scores, whole: Scores) -> Scores:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
