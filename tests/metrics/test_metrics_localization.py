from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_support import CONTEXT, GROUPS, explanations, find, rates, tables

from ifambench.metrics.localization import (
    localization_rows,
    mask_scores,
    patch_coverage,
    relevance_mass,
)

PREDICTIONS = rates(dict.fromkeys(GROUPS, (3, 4)))


def upsampled(patches, size):
    return np.repeat(np.repeat(patches, size, axis=-2), size, axis=-1)


def test_coverage_is_the_mean_over_each_patch():
    masks = np.random.default_rng(0).random((2, 6, 8)) < 0.4
    found = patch_coverage(masks, (3, 2))
    for n, row, column in np.ndindex(2, 3, 2):
        patch = masks[n, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4]
        assert found[n, row, column] == pytest.approx(patch.mean())


def test_coverage_refuses_a_grid_that_does_not_divide_the_image():
    with pytest.raises(ValueError, match="3x3 grid does not divide 8x8"):
        patch_coverage(np.zeros((1, 8, 8), dtype=bool), (3, 3))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_mask_scores_are_those_of_the_pixels(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((4, 12, 12)) < rng.random()
    selected = rng.random((4, 4, 4)) < rng.random()
    found = mask_scores(selected, patch_coverage(masks, (4, 4)))
    pixels = upsampled(selected, 3)
    common, either = (pixels & masks).sum((1, 2)), (pixels | masks).sum((1, 2))
    with np.errstate(invalid="ignore"):
        expected = (common / either, common / pixels.sum((1, 2)), common / masks.sum((1, 2)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_undefined_mask_scores_are_nan_not_zero():
    nothing, everything = np.zeros((1, 2, 2), dtype=bool), np.ones((1, 2, 2))
    both = mask_scores(nothing, np.zeros((1, 2, 2)))
    assert np.isnan(both).all()
    no_selection = mask_scores(nothing, everything)
    assert no_selection.iou[0] == 0
    assert np.isnan(no_selection.precision[0])
    assert no_selection.recall[0] == 0


def test_relevance_mass_is_that_of_the_pixels():
    rng = np.random.default_rng(1)
    relevance, masks = rng.normal(size=(3, 2, 2)), rng.random((3, 8, 8)) < 0.5
    positive = upsampled(np.clip(relevance, 0, None), 4)
    expected = (positive * masks).sum((1, 2)) / positive.sum((1, 2))
    found = relevance_mass(relevance, patch_coverage(masks, (2, 2)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_relevance_mass_of_a_uniform_map_is_the_area_of_the_object():
    coverage = np.random.default_rng(2).random((5, 3, 3))
    found = relevance_mass(np.full((5, 3, 3), 7.0), coverage)
    np.testing.assert_allclose(found, coverage.mean((1, 2)))


def test_relevance_mass_without_positive_relevance_is_undefined():
    assert np.isnan(relevance_mass(-np.ones((1, 2, 2)), np.ones((1, 2, 2)))).all()


def score(*frames, predictions=PREDICTIONS):
    return localization_rows(tables(predictions, pd.concat(frames)), CONTEXT)


def test_rows_of_a_selecting_explainer():
    frame = explanations("ifam_mask", 0, mask_iou=0.5, mask_precision=0.75, mask_recall=0.6)
    rows = score(frame.assign(area=0.25, relevance_mass=0.75))
    values = {row.metric: row.value for row in rows if row.group == "all"}
    expected = {"mask_iou": 0.5, "mask_precision": 0.75, "mask_recall": 0.6, "mask_area": 0.25}
    assert values == pytest.approx(expected | {"relevance_mass": 0.75})
    assert find(rows, "mask_iou", group=GROUPS[1]).n == 6


def test_other_explainers_have_no_mask_rows_but_an_undefined_relevance_mass():
    rows = score(explanations("grad_cam", 0))
    assert {row.metric for row in rows} == {"relevance_mass"}
    assert "no object mask" in find(rows, "relevance_mass", group="all").reason


def test_rows_of_a_map():
    names = {"pointing_game": "pointing", "rank_accuracy": "rank_accuracy"}
    names |= {"relevance_auroc": "auroc", "relevance_mass": "relevance_mass"}
    frame = explanations("grad_cam", 0)
    values = np.random.default_rng(1).random((4, len(frame)))
    rows = score(frame.assign(**dict(zip(names.values(), values, strict=True))))
    assert {row.metric for row in rows} == set(names)
    for metric, column in zip(names, values, strict=True):
        assert find(rows, metric, group="all").value == pytest.approx(column.mean())
        part = column[frame["group"] == GROUPS[1]]
        assert find(rows, metric, group=GROUPS[1]).value == pytest.approx(part.mean())


def test_maps_without_an_object_are_undefined_with_a_reason():
    rows = score(explanations("grad_cam", 0, pointing=np.nan, rank_accuracy=0.5, auroc=np.nan))
    for metric in ("pointing_game", "relevance_auroc"):
        row = find(rows, metric, group="all")
        assert (row.value, row.n) == (None, 0)
        assert "no object mask" in row.reason


def test_empty_selections_are_counted_for_models_that_select():
    chosen = PREDICTIONS.assign(n_selected=[0, 0, 0, *range(1, 14)])
    rows = score(explanations("a", 0), predictions=chosen)
    row = find(rows, "empty_selection_rate", group="all")
    assert (row.value, row.n) == (3 / 16, 16)
    split = [find(rows, "empty_selection_rate", group=name) for name in GROUPS]
    assert sum(row.value * row.n for row in split) == pytest.approx(3)
    assert sum(row.n for row in split) == 16
    rows = score(explanations("a", 0), predictions=PREDICTIONS.assign(n_selected=np.nan))
    assert not [row for row in rows if row.metric == "empty_selection_rate"]


def test_without_an_empty_selection_there_is_one_row():
    rows = score(explanations("a", 0), predictions=PREDICTIONS.assign(n_selected=1))
    assert [row.group for row in rows if row.metric == "empty_selection_rate"] == ["all"]
