"""Does the explanation, or the selected mask, lie on the object?

Everything is computed on the patch grid with the *coverage* of each patch, the share of its pixels
that belong to the object. All patches have the same number of pixels, so sums over patches weighted
with the coverage are exactly the sums over pixels of the nearest-upsampled map: nothing is resized.

Relevance mass is the share of positive relevance on the object (Arras, Osman and Samek 2022,
https://arxiv.org/abs/2003.07258). A map without positive relevance has none. Localisation is not
faithfulness: a model that looks at the background and says so must score low. Compare with the
explainers `random`, `uniform` and `center`: the relevance mass of a uniform map is the object's
share of the image, and the centre alone scores high where objects are centred.

The other scores of maps are defined in `ifambench.metrics.map_scores`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.column_means import column_rows
from ifambench.metrics.rows import explained, rate_row, select_images

METRICS: dict[str, dict[str, Any]] = {
    "relevance_mass": {
        "build": "localization_rows",
        "summary": "Share of the positive relevance that lies on the object",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "pointing_game": {
        "build": "localization_rows",
        "summary": "Share of the patches of maximal relevance that are object patches",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "rank_accuracy": {
        "build": "localization_rows",
        "summary": "Share on the object of as many most relevant pixels as the object has",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "relevance_auroc": {
        "build": "localization_rows",
        "summary": "ROC-AUC of the relevance for telling object pixels from the others",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "mask_iou": {
        "build": "localization_rows",
        "summary": "Pixel IoU of the selected patches with the object mask",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "mask_precision": {
        "build": "localization_rows",
        "summary": "Share of the selected pixels that lie on the object",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "mask_recall": {
        "build": "localization_rows",
        "summary": "Share of the object's pixels that are selected",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "mask_area": {
        "build": "localization_rows",
        "summary": "Share of the patches that are selected",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "empty_selection_rate": {
        "build": "localization_rows",
        "summary": "Share of the images for which the model selects no patch",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
}

_REASONS = {
    "relevance_mass": "no object mask or no positive relevance",
    "pointing_game": "no object mask, or none that fills half a patch",
    "rank_accuracy": "no object mask",
    "relevance_auroc": "no object mask, or one that fills the image",
}
_MASK_REASONS = {
    **dict.fromkeys(("mask_iou", "mask_precision", "mask_recall"), "neither object nor selection"),
    "mask_area": "no selection",
}


class MaskScores(NamedTuple):
    """Per-image agreement of a selection with the object; NaN where it is 0 / 0."""

    iou: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def patch_coverage(masks: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Share of each patch that the mask covers.

    Args:
        masks: (N, H, W) object masks.
        grid: (h, w) patches; they must divide the image.

    Returns:
        (N, h, w) shares in [0, 1].

    >>> patch_coverage(np.array([[[True, True, False, False]]]), (1, 2)).tolist()
    [[[1.0, 0.0]]]
    """
    n, height, width = masks.shape
    rows, columns = grid
    if height % rows or width % columns:
        raise ValueError(f"a {rows}x{columns} grid does not divide {height}x{width} pixels")
    patches = masks.reshape(n, rows, height // rows, columns, width // columns)
    return np.asarray(patches.mean(axis=(2, 4)), dtype=np.float64)


def relevance_mass(
    relevance: NDArray[np.floating[Any]], coverage: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of positive relevance on the object, sum(a+ m) / sum(a+), per image.

    Args:
        relevance: (N, h, w) signed relevance; negative values count as 0.
        coverage: (N, h, w) from `patch_coverage`.

    Returns:
        (N,) shares in [0, 1], NaN for a map without positive relevance.
    """
    positive = np.clip(relevance.astype(np.float64), 0, None)
    return _ratio(_total(positive * coverage), _total(positive))


def mask_scores(selected: NDArray[np.bool_], coverage: NDArray[np.float64]) -> MaskScores:
    """Pixel IoU, precision and recall of a selection of patches, without upsampling it.

    With P pixels per patch the intersection is P sum(s m) pixels, the selection P sum(s) and the
    object P sum(m); P cancels.

    Args:
        selected: (N, h, w) selected patches.
        coverage: (N, h, w) from `patch_coverage`.
    """
    chosen = selected.astype(np.float64)
    common, area, object_area = _total(chosen * coverage), _total(chosen), _total(coverage)
    return MaskScores(
        iou=_ratio(common, area + object_area - common),
        precision=_ratio(common, area),
        recall=_ratio(common, object_area),
    )


def localization_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file.

    The metrics of a selection have rows only for explainers that select patches, the empty
    selections only for models that do; split by group where there are any.
    """
    rows = []
    for explainer, frame in explained(tables.explanations, context.groups):
        rows += column_rows(METRICS, _REASONS, frame, context, explainer)
        rows += column_rows(METRICS, _MASK_REASONS, frame, context, explainer, measured=True)
    return rows + _empty_selection_rows(tables, context)


def _empty_selection_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    if "n_selected" not in tables.predictions:
        return []
    images = select_images(tables.predictions, context).dropna(subset=["n_selected"])
    if images.empty:
        return []
    empty = images["n_selected"] == 0
    groups = context.groups if empty.any() else ()
    parts = {"all": empty} | {name: empty[images["group"] == name] for name in groups}
    return [
        rate_row(METRICS, "empty_selection_rate", int(part.sum()), len(part), group=name)
        for name, part in parts.items()
    ]


def _total(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.sum(axis=(1, 2)), dtype=np.float64)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
