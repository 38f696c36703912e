from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifambench.metrics.localization import patch_coverage
from ifambench.metrics.map_scores import map_scores, pointing, rank_accuracy, relevance_auroc

NAMES = [
    *("relevance_mass", "pointing", "rank_accuracy", "auroc", "gini", "entropy"),
    *("mask_iou", "mask_precision", "mask_recall", "area"),
]
LOCATION = [name for name in NAMES if name not in ("gini", "entropy", "area")]


def upsampled(patches, size):
    return np.repeat(np.repeat(patches, size, axis=-2), size, axis=-1)


def tied_maps(rng, shape):
    """Signed maps in which many patches tie."""
    return np.round(rng.normal(size=shape), 0).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_auroc_is_that_of_the_upsampled_pixels(seed):
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    masks = rng.random((3, 12, 12)) < rng.uniform(0.1, 0.9)
    relevance = tied_maps(rng, (3, 4, 4))
    expected = [
        roc_auc_score(mask.ravel(), upsampled(patches, 3).ravel())
        for mask, patches in zip(masks, relevance, strict=True)
    ]
    found = relevance_auroc(relevance, patch_coverage(masks, (4, 4)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_rank_accuracy_is_that_of_the_pixels_with_ties_in_expectation(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((12, 12)) < rng.uniform(0.1, 0.9)
    relevance = tied_maps(rng, (1, 4, 4))
    pixels, places = upsampled(relevance[0], 3).ravel(), int(masks.sum())
    threshold = np.sort(pixels)[::-1][places - 1]
    above, at = pixels > threshold, pixels == threshold
    object_pixels = masks.ravel()
    left = places - above.sum()
    expected = (object_pixels & above).sum() + left * object_pixels[at].mean()
    found = rank_accuracy(relevance, patch_coverage(masks[None], (4, 4)))
    assert found[0] == pytest.approx(expected / places)


def test_rank_accuracy_gives_the_iou_of_a_selection_of_equal_area():
    rng = np.random.default_rng(3)
    for _ in range(20):
        size = int(rng.integers(1, 36))
        picks = [rng.permutation(36)[:size] for _ in range(2)]
        selected, coverage = (np.zeros((1, 36), dtype=np.float32) for _ in range(2))
        selected[0, picks[0]], coverage[0, picks[1]] = 1, 1
        found = map_scores(
            selected.reshape(1, 6, 6), coverage.reshape(1, 6, 6).astype(float), binary=True
        )
        accuracy = found["rank_accuracy"]
        np.testing.assert_allclose(found["mask_iou"], accuracy / (2 - accuracy), rtol=1e-12)


def test_the_object_itself_has_the_best_scores_and_its_negative_the_worst():
    coverage = np.zeros((1, 3, 3))
    coverage[0, 0, :2] = 1
    best = map_scores(coverage.astype(np.float32), coverage, binary=False)
    worst = map_scores(-coverage.astype(np.float32), coverage, binary=False)
    for name in ("pointing", "rank_accuracy", "auroc"):
        assert (best[name][0], worst[name][0]) == (1, 0)
    assert best["relevance_mass"][0] == 1
    assert np.isnan(worst["relevance_mass"][0])


def test_a_constant_map_does_not_hit():
    coverage = np.array([[[1.0, 0.5], [0.49, 0.0]]])
    flat = np.full((1, 2, 2), 0.7, dtype=np.float32)
    found = map_scores(flat, coverage, binary=False)
    assert found["pointing"][0] == 0.5
    assert found["rank_accuracy"][0] == pytest.approx(coverage.mean())
    assert found["relevance_mass"][0] == pytest.approx(coverage.mean())
    assert found["auroc"][0] == 0.5


def test_tied_maxima_share_the_hit():
    coverage = np.array([[[1.0, 0.0, 0.0, 0.0]]])
    relevance = np.array([[[2.0, 2.0, 1.0, -3.0]]])
    assert pointing(relevance, coverage)[0] == 0.5


def test_scores_do_not_depend_on_the_raster_order_of_ties():
    rng = np.random.default_rng(5)
    relevance = np.clip(rng.normal(size=(8, 5, 5)), 0, None).astype(np.float32)
    coverage = rng.random((8, 5, 5))
    order = rng.permutation(25)
    mixed = [x.reshape(8, 25)[:, order].reshape(8, 5, 5) for x in (relevance, coverage)]
    found, again = map_scores(relevance, coverage, binary=False), map_scores(*mixed, binary=False)
    for name in NAMES:
        np.testing.assert_allclose(found[name], again[name], rtol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_scores_do_not_depend_on_the_scale_of_the_map(factor):
    rng = np.random.default_rng(6)
    relevance, coverage = rng.normal(size=(4, 3, 3)), rng.random((4, 3, 3))
    found = map_scores(relevance, coverage, binary=False)
    again = map_scores(relevance * factor, coverage, binary=False)
    for name in NAMES:
        np.testing.assert_allclose(found[name], again[name], rtol=1e-12)


def test_without_an_object_mask_only_the_spread_of_the_map_is_known():
    relevance = np.random.default_rng(7).random((2, 3, 3)).astype(np.float32)
    found = map_scores(relevance, np.full((2, 3, 3), np.nan), binary=True)
    assert list(found) == NAMES
    assert all(np.isnan(found[name]).all() for name in LOCATION)
    assert all(np.isfinite(found[name]).all() for name in ("gini", "entropy", "area"))


def test_an_empty_mask_and_a_full_one_leave_undefined_what_has_no_meaning():
    relevance = np.arange(4.0).reshape(1, 2, 2)
    empty = map_scores(relevance, np.zeros((1, 2, 2)), binary=False)
    assert all(np.isnan(empty[name][0]) for name in ("pointing", "rank_accuracy", "auroc"))
    full = map_scores(relevance, np.ones((1, 2, 2)), binary=False)
    assert (full["pointing"][0], full["rank_accuracy"][0]) == (1, 1)
    assert np.isnan(full["auroc"][0])


def test_an_object_too_small_for_any_patch_cannot_be_pointed_at():
    coverage = np.full((1, 2, 2), 0.1)
    found = map_scores(np.arange(4.0).reshape(1, 2, 2), coverage, binary=False)
    assert np.isnan(found["pointing"][0])
    assert found["rank_accuracy"][0] == pytest.approx(0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_has_no_scores_and_leaves_the_others_alone(value):
    relevance = np.random.default_rng(8).random((2, 2, 2))
    coverage = np.array([[[1.0, 0.0], [0.0, 0.3]]] * 2)
    alone = map_scores(relevance[1:], coverage[1:], binary=False)
    relevance[0, 0, 1] = value
    found = map_scores(relevance, coverage, binary=False)
    for name in NAMES:
        assert np.isnan(found[name][0])
        np.testing.assert_array_equal(found[name][1:], alone[name])


def test_an_image_of_one_patch():
    found = map_scores(np.array([[[2.0]]]), np.array([[[0.6]]]), binary=True)
    values = {name: float(found[name][0]) for name in NAMES}
    assert values["pointing"] == 1
    assert values["rank_accuracy"] == pytest.approx(0.6)
    assert values["auroc"] == 0.5
    assert (values["gini"], values["entropy"], values["area"]) == (0, 0, 1)


def test_other_maps_have_no_selection():
    found = map_scores(np.ones((1, 2, 2)), np.ones((1, 2, 2)), binary=False)
    assert all(np.isnan(found[name][0]) for name in NAMES[-4:])
    selected = map_scores(np.eye(2)[None], np.eye(2)[None], binary=True)
    assert [float(selected[name][0]) for name in NAMES[-4:]] == [1, 1, 1, 0.5]
