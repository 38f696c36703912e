from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from metrics_support import find

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.base import ScoreContext, Tables
from ifambench.metrics.mask_noise import METRICS, mask_noise_rows, with_and_without_noise
from ifambench.metrics.resampling import bootstrap_mean

CONTEXT = ScoreContext(groups=("a", "b"), resamples=200)
IMAGES = pd.DataFrame({"id": list("pqrs"), "y": [0, 0, 1, 1], "group": list("aabb")})
FREE = [0, 0, 1, 0]
NOISY = np.array([[0, 0], [0, 1], [1, 1], [1, 1]])
AVERAGED = [0, 0, 1, 1]
PATCH_FLIPS = np.array([[0.0, 0.5], [0.25, 0.25], [0.0, 0.0], [0.0, 0.0]])
SELECTED = np.array([[1, 0, 0], [2, 2, 2], [0, 1, 1], [3, 3, 3]])


def table(noisy=NOISY) -> pd.DataFrame:
    """Two images of each group, without noise and under two masks."""
    predicted = np.column_stack([FREE, noisy])
    flips = np.column_stack([np.zeros(4), PATCH_FLIPS])
    parts = [
        IMAGES.assign(
            split="test",
            variant="original",
            sample=sample,
            y_pred=predicted[:, sample],
            n_selected=SELECTED[:, sample],
            patch_flips=flips[:, sample],
            y_pred_averaged=AVERAGED,
        )
        for sample in range(predicted.shape[1])
    ]
    return pd.concat(parts, ignore_index=True)


def score(frame=None, context=CONTEXT):
    frame = table() if frame is None else frame
    return mask_noise_rows(Tables(pd.DataFrame(), pd.DataFrame(), mask_samples=frame), context)


def test_every_number_by_hand():
    rows = score()
    values = {row.metric: row.value for row in rows if row.group == "all"}
    assert values["noisy_accuracy"] == 7 / 8  # 1.0 under the first mask, 0.75 under the second
    assert values["noisy_accuracy_std"] == pytest.approx(0.25 / math.sqrt(2))
    assert values["noisy_worst_group_accuracy"] == 0.75  # 1.0, then group a with 0.5
    assert values["noisy_worst_group_accuracy_std"] == pytest.approx(0.5 / math.sqrt(2))
    assert values["averaged_accuracy"] == 1.0
    assert values["noise_flip_rate"] == 3 / 8
    assert values["noise_any_flip_rate"] == 0.5
    assert values["noise_patch_flip_rate"] == 0.125
    assert values["noisy_empty_rate"] == 0.25
    assert find(rows, "averaged_worst_group_accuracy").value == 1.0
    assert find(rows, "noise_flip_rate", group="a").value == 0.25
    assert {row.metric for row in rows} == METRICS.keys()


def test_a_mean_has_the_bootstrap_over_images():
    row = find(score(), "noise_flip_rate", group="all")
    per_image = np.array([0.0, 0.5, 0.0, 1.0])
    low, high, _ = bootstrap_mean(per_image, IMAGES["group"], 200, 0, bounds=(0.0, 1.0))
    assert (row.ci_low, row.ci_high, row.n) == (low, high, 4)


def test_a_share_that_is_always_0_is_not_certain():
    frame = table().assign(n_selected=1)
    row = find(score(frame), "noisy_empty_rate", group="all")
    assert (row.value, row.ci_low, row.ci_method) == (0.0, 0.0, "wilson")
    assert row.ci_high == pytest.approx(1.96**2 / (4 + 1.96**2), abs=1e-4)


def test_a_group_in_which_no_mask_is_empty_is_not_certain():
    frame = table()
    frame.loc[frame["group"] == "b", "n_selected"] = 1
    frame.loc[(frame["id"] == "p") & (frame["sample"] == 2), "n_selected"] = 1
    rows = score(frame)
    assert find(rows, "noisy_empty_rate", group="a").ci_method.startswith("expanded_bootstrap")
    row = find(rows, "noisy_empty_rate", group="b")
    assert (row.value, row.ci_method) == (0.0, "wilson")
    assert row.ci_high > 0.5  # two images


def test_the_order_of_the_table_changes_nothing():
    assert score(table().sample(frac=1, random_state=0)) == score()


def test_one_mask_has_no_standard_deviation():
    rows = score(table(NOISY[:, :1]))
    for metric in ("noisy_accuracy_std", "noisy_worst_group_accuracy_std"):
        row = find(rows, metric)
        assert row.value is None
        assert "two masks" in row.reason


def test_one_group_has_no_worst():
    rows = score(table().assign(group="all"), replace(CONTEXT, groups=("all",)))
    assert not any("worst" in row.metric for row in rows)
    assert find(rows, "noisy_accuracy").value == 7 / 8


def test_nothing_without_the_table():
    assert mask_noise_rows(Tables(pd.DataFrame(), pd.DataFrame()), CONTEXT) == []


@pytest.mark.parametrize("drop", [[5], [4, 5, 6, 7, 8, 9, 10, 11]])
def test_a_table_that_lacks_masks_is_damaged(drop):
    with pytest.raises(EnvironmentProblem, match="same masks"):
        score(table().drop(index=drop))


def test_beside_the_numbers_without_noise():
    rows = with_and_without_noise(table(), CONTEXT)
    assert find(rows, "accuracy").value == 0.75
    worst = find(rows, "worst_group_accuracy")
    assert (worst.value, worst.group) == (0.5, "b")
    assert find(rows, "empty_selection_rate", group="all").value == 0.25
    assert find(rows, "noisy_accuracy", group="all").value == 7 / 8


def test_a_declared_group_without_images_is_left_out():
    rows = with_and_without_noise(table(), replace(CONTEXT, groups=("a", "none", "b")))
    assert rows == with_and_without_noise(table(), CONTEXT)
