from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from battery_frames import GRID, images, selections
from metrics_support import CONTEXT, find, predictions, tables

from ifambench.errors import EnvironmentProblem
from ifambench.metrics import mask_probes
from ifambench.metrics.mask_probes import probe_rows
from ifambench.metrics.selections import mask_features, pack_masks, unpack_masks

HERE = replace(CONTEXT, patch_grid=GRID)


@pytest.fixture
def few(monkeypatch):
    """Two permutations where chance is not what is tested."""
    monkeypatch.setattr(mask_probes, "PERMUTATIONS", 2)


def score(frame, context=HERE):
    return probe_rows(replace(tables(predictions({})), selections=frame), context)


def of(masks):
    """The stored masks of the images of `battery_frames`."""
    return images(len(masks) // 4).assign(variant="original", mask=pack_masks(masks))


def masks_with(told, seed=0):
    """Random masks whose first patch is `told`."""
    masks = np.random.default_rng(seed).random((len(told), *GRID)) < 0.5
    masks[:, 0, 0] = told
    return masks


@pytest.mark.parametrize("grid", [(1, 1), (2, 4), (3, 3), (7, 5)])
def test_masks_come_back_from_their_texts(grid):
    masks = np.random.default_rng(1).random((5, *grid)) < 0.5
    texts = pd.Series(pack_masks(masks))
    assert texts.map(len).unique().tolist() == [2 * -(-grid[0] * grid[1] // 8)]
    np.testing.assert_array_equal(unpack_masks(texts, grid), masks)


@pytest.mark.parametrize("text", ["0", "000000", "zzzz", None])
def test_a_text_that_is_no_mask_of_the_grid_is_refused(text):
    with pytest.raises(EnvironmentProblem, match="3 x 4 patches"):
        unpack_masks(pd.Series(["0000", text]), (3, 4))


def test_features_are_patches_area_and_centre():
    masks = np.zeros((3, 3, 2), dtype=bool)
    masks[0, 2, 1] = masks[1, 0] = True
    np.testing.assert_allclose(
        mask_features(masks)[:, -3:], [[1 / 6, 1, 1], [2 / 6, 0, 0.5], [0, 0.5, 0.5]]
    )
    np.testing.assert_array_equal(mask_features(masks)[:, :6], masks.reshape(3, 6))


def test_without_masks_or_a_grid_there_are_no_rows():
    assert score(None) == []
    assert score(selections(), CONTEXT) == []
    assert score(selections().assign(variant="mixed_rand")) == []


def test_a_mask_that_names_the_class_is_found_out():
    y = images()["y"].to_numpy()
    rows = score(of(masks_with(y == 1)))
    label, chance = find(rows, "mask_probe_label"), find(rows, "mask_probe_label_chance")
    assert label.value > 0.8
    assert label.ci_low <= label.value <= label.ci_high
    assert label.value > chance.ci_high
    assert chance.ci_low < 0.5 < chance.ci_high
    assert (label.n, chance.ci_method) == (len(y), "permutation_range_19")


@pytest.mark.usefixtures("few")
def test_the_probe_is_a_logistic_regression_judged_on_images_it_was_not_fitted_to():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    frame = selections(3)
    frame = frame[(frame["y"] == 1) | (frame.groupby("y").cumcount() < 9)]  # 9 and 16 images
    y = frame["y"].to_numpy()
    features = mask_features(unpack_masks(frame["mask"], GRID))
    found = np.zeros(2)
    for fit, judge in StratifiedKFold(5, shuffle=True, random_state=HERE.seed).split(y, y):
        seen = features[fit]
        scale = np.ones(features.shape[1])
        scale[-3:] = seen[:, -3:].std(axis=0)
        ready = (features - seen.mean(axis=0)) / scale
        probe = LogisticRegression(C=0.03, class_weight="balanced", tol=1e-8, max_iter=5000)
        told = probe.fit(ready[fit], y[fit]).predict(ready[judge])
        found += np.bincount(y[judge][told == y[judge]], minlength=2)
    row = find(score(frame), "mask_probe_label")
    assert row.value == pytest.approx((found / [9, 16]).mean())
    assert row.n == 25


def test_features_are_prepared_from_the_images_that_are_fitted_alone():
    features = mask_features(masks_with(np.arange(20) % 2 == 0))
    fit, judge = np.arange(16), np.arange(16, 20)
    ready = mask_probes._prepared(features, fit)
    np.testing.assert_allclose(ready[fit].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(ready[fit][:, -3:].std(axis=0), 1)
    assert abs(ready[judge].mean(axis=0)).max() > 0.1
    other = features.copy()
    other[judge] = 7
    np.testing.assert_array_equal(mask_probes._prepared(other, fit)[fit], ready[fit])


def test_an_area_that_does_not_vary_is_no_division_by_zero():
    masks = np.zeros((10, *GRID), dtype=bool)
    masks[np.arange(10), np.arange(10) % 4, 0] = True
    ready = mask_probes._prepared(mask_features(masks), np.arange(8))
    assert np.isfinite(ready).all()
    assert not ready[:, -3].any()


@pytest.mark.usefixtures("few")
def test_a_class_that_is_always_guessed_scores_no_more_than_chance():
    """Of 20 and 5 images: a share of right answers would be 0.8 for the larger class alone."""
    frame = images(20)
    frame = frame[(frame["y"] == 1) | (frame.groupby("y").cumcount() < 10)]
    empty = pack_masks(np.zeros((len(frame), *GRID), dtype=bool))
    rows = score(frame.assign(variant="original", mask=empty))
    assert find(rows, "mask_probe_label").value == 0.5
    assert find(rows, "mask_probe_label_chance").value == 0.5


def test_what_the_class_implies_is_taken_out_within_the_classes():
    found = images(per_group=24)
    drop = found.groupby("group").cumcount() >= 6  # six images of a class on the other place
    found = found[~(drop & found["group"].isin(["land/water", "water/land"]))]
    y = found["y"].to_numpy()
    frame = found.assign(variant="original", mask=pack_masks(masks_with(y == 1)))
    rows = score(frame)
    whole = find(rows, "mask_probe_attribute", variant="place")
    within = find(rows, "mask_probe_attribute_given_label", variant="place")
    limit = find(rows, "mask_probe_attribute_given_label_chance", variant="place").ci_high
    assert whole.value > 0.7
    assert within.value <= max(limit, 0.65)
    told = masks_with(found["a_place"].to_numpy() == "water")
    rows = score(found.assign(variant="original", mask=pack_masks(told)))
    within = find(rows, "mask_probe_attribute_given_label", variant="place")
    limit = find(rows, "mask_probe_attribute_given_label_chance", variant="place").ci_high
    assert within.value > max(limit, 0.75)


@pytest.mark.usefixtures("few")
def test_the_interval_within_the_classes_is_that_of_a_mean_over_classes_and_values():
    """Four rates of 8 images each, weighted by 1/4: the error is at most 1/2 / sqrt(32)."""
    row = find(score(selections()), "mask_probe_attribute_given_label", variant="place")
    assert row.n == 32
    assert 0 <= row.ci_low < row.value < row.ci_high <= 1
    assert 0.1 < row.ci_high - row.ci_low < 1.1 * 2 * 1.96 * 0.5 / 32**0.5


@pytest.mark.usefixtures("few")
def test_the_order_of_the_rows_changes_no_bit():
    frame = selections()
    assert score(frame.sample(frac=1, random_state=1)) == score(frame)


@pytest.mark.usefixtures("few")
def test_too_few_images_of_a_value_are_no_probe():
    frame = selections()
    few = frame[(frame["y"] == 1) | (frame.groupby("y").cumcount() < 4)]
    row = find(score(few), "mask_probe_label")
    assert (row.value, row.n) == (None, 0)
    assert "4 images" in row.reason
    one = find(score(frame[frame["y"] == 1]), "mask_probe_label")
    assert one.reason == "there is only one value"


@pytest.mark.usefixtures("few")
def test_classes_without_enough_images_are_named_and_left_out():
    frame = selections()
    few = frame[(frame["y"] == 1) | (frame["a_place"] == "land")]
    rows = score(few)
    row = find(rows, "mask_probe_attribute_given_label", variant="place")
    assert row.n == 16
    assert row.reason == "1 of 2 classes cannot be probed"
    none = score(frame.assign(a_place=["x", "y"] + ["x"] * 30))
    reason = find(none, "mask_probe_attribute_given_label", variant="place").reason
    assert reason == "no class can be probed"


def test_many_values_are_not_probed(monkeypatch):
    monkeypatch.setattr(mask_probes, "MOST_VALUES", 1)
    rows = score(selections())
    assert "not probed" in find(rows, "mask_probe_label").reason
    within = find(rows, "mask_probe_attribute_given_label", variant="place")
    assert within.reason == "not probed within more than 1 classes"


@pytest.mark.usefixtures("few")
def test_at_most_so_many_images_are_probed(monkeypatch):
    monkeypatch.setattr(mask_probes, "MOST", 20)
    rows = score(selections())
    assert find(rows, "mask_probe_label").n == 20
    assert find(rows, "selected_area", group="all").n == 32


@pytest.mark.usefixtures("few")
def test_area_is_the_share_of_selected_patches():
    masks = np.zeros((32, *GRID), dtype=bool)
    masks[:16, 0] = True
    rows = score(of(masks))
    assert find(rows, "selected_area", group="land/land").value == pytest.approx(1 / GRID[0])
    assert find(rows, "selected_area", group="all").value == pytest.approx(0.5 / GRID[0])
