from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from battery_frames import battery, images, lines
from metrics_support import CONTEXT, GROUPS, find, predictions, tables

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.invariance import invariance_rows
from ifambench.metrics.mask_use import mask_use_rows
from ifambench.metrics.uncertainty import wilson

N = len(images())


def score(*frames: pd.DataFrame):
    table = pd.concat(frames, ignore_index=True)
    found = replace(tables(predictions({})), battery=table)
    return [*invariance_rows(found, CONTEXT), *mask_use_rows(found, CONTEXT)]


def values(*head: float, rest: float = 0.0) -> dict[str, object]:
    return {"value": [*head, *[rest] * (N - len(head))]}


def test_without_a_battery_there_are_no_rows():
    for table in (None, battery().iloc[:0]):
        found = replace(tables(predictions({})), battery=table)
        assert invariance_rows(found, CONTEXT) == []
        assert mask_use_rows(found, CONTEXT) == []


def test_quantities_that_were_not_measured_have_no_rows():
    rows = score(lines({"value": 0.0}, "T1", "logit_change", "zero"))
    assert {row.metric for row in rows} == {"leak", "leak_rate"}


def test_leak_is_the_largest_change_and_one_changed_bit_counts():
    rows = score(lines(values(0.0, 1e-12), "T1", "logit_change", "zero"))
    leak = find(rows, "leak", variant="zero")
    assert (leak.value, leak.n, leak.unit) == (1e-12, N, "logit")
    assert (leak.ci_low, leak.ci_high, leak.ci_method) == (None, None, None)
    assert find(rows, "leak_rate", variant="zero").value == 1 / N


def test_no_leak_is_exactly_zero():
    rows = score(lines({"value": 0.0}, "T1", "logit_change", "noise100"))
    assert find(rows, "leak").value == 0
    rate = find(rows, "leak_rate")
    assert (rate.value, rate.ci_high) == (0, wilson(0, N).high)


@pytest.mark.parametrize("odd", [np.nan, np.inf, float(np.finfo(np.float32).max)])
def test_outputs_that_are_no_numbers_are_a_leak_without_a_size(odd):
    rows = score(lines(values(odd, odd), "T1", "logit_change", "nan"))
    leak = find(rows, "leak", variant="nan")
    assert (leak.value, leak.n) == (None, 0)
    assert "2 of 32" in leak.reason
    assert find(rows, "leak_rate").value == 2 / N


def test_flips_by_group_and_of_the_worst_group():
    flips = np.isin(np.arange(N), [0, 8, 9, 10, 11, 16]).astype(float)
    rows = score(lines({"value": flips}, "T3", "frozen_flip", "random"))
    by_group = [find(rows, "frozen_mask_flip_rate", group=name).value for name in GROUPS]
    assert by_group == [1 / 8, 4 / 8, 1 / 8, 0]
    assert find(rows, "frozen_mask_flip_rate", group="all").value == 6 / N
    worst = find(rows, "worst_group_frozen_mask_flip_rate")
    assert (worst.group, worst.value, worst.n) == (GROUPS[1], 1 / 2, 8)
    assert (worst.ci_low, worst.ci_high) == pytest.approx(wilson(4, 8))


def test_undefined_images_are_left_out():
    frame = lines(values(np.nan, 1.0), "T4", "admission", "same")
    row = find(score(frame), "background_admission", group="all")
    assert (row.value, row.n) == (1 / (N - 1), N - 1)
    nothing = find(
        score(lines({"value": np.nan}, "T4", "admission")), "background_admission", group="all"
    )
    assert (nothing.value, nothing.n, nothing.reason) == (None, 0, "undefined for every image")


def test_a_rate_of_several_draws_is_a_mean():
    row = find(
        score(lines(values(0.4), "T7", "correct", "random")), "control_accuracy", group="all"
    )
    assert row.value == pytest.approx(0.4 / N)
    assert row.ci_method == "expanded_bootstrap_200"


def test_specificity_and_necessity_pair_the_images():
    rng = np.random.default_rng(3)
    drawn = {name: rng.random(N) for name in ("own", "random", "all", "complement")}
    frames = [lines({"value": x}, "T7", "score", name) for name, x in drawn.items()]
    frames[1] = frames[1].sample(frac=1, random_state=0).iloc[:-4]
    kept = images()["id"].isin(frames[1]["id"]).to_numpy()
    rows = score(*frames)
    specificity = find(rows, "specificity", group="all")
    assert specificity.n == N - 4
    assert specificity.value == pytest.approx((drawn["own"] - drawn["random"])[kept].mean())
    necessity = find(rows, "necessity", group="all").value
    assert necessity == pytest.approx((drawn["all"] - drawn["complement"]).mean())
    assert not [row for row in score(*frames[:1]) if row.metric == "specificity"]


def test_silhouettes_are_compared_with_the_largest_class():
    frame = lines(values(*[1.0] * 24), "T6", "silhouette_correct", "constant")
    part = frame[~frame["group"].isin([GROUPS[0]])]  # 8 of class 0, 16 of class 1
    row = find(score(part), "silhouette_over_chance")
    assert row.value == pytest.approx(16 / 24 - 16 / 24)
    assert row.ci_high == pytest.approx(wilson(16, 24).high - 16 / 24)
    assert not {item.group for item in score(part) if item.metric == row.metric} - {"all"}


def test_silhouettes_of_random_shape_are_what_others_are_compared_with():
    """Also where the means over draws happen to be 0 and 1."""
    frame = lines(values(1.0, 1.0), "T6", "silhouette_correct", "random_shape")
    rows = score(frame)
    assert not [row for row in rows if row.metric == "silhouette_over_chance"]
    assert find(rows, "silhouette_accuracy", group="all").value == 2 / N


def test_every_success_of_the_attack_must_have_moved_the_mask():
    success = lines(values(1.0, 1.0, 1.0), "T9", "success")
    moved = lines(values(1.0, 0.0, 1.0), "T9", "mask_changed")  # of failures, 0 says nothing
    row = find(score(success, moved), "attack_success_same_mask")
    assert (row.value, row.n) == (1 / 3, 3)
    assert find(score(success, moved), "attack_success_rate", group="all").value == 3 / N
    of_successes = find(score(success, moved.iloc[:3]), "attack_success_same_mask")
    assert of_successes == row


def test_without_a_success_there_is_no_share_of_successes():
    row = find(score(lines({"value": 0.0}, "T9", "success")), "attack_success_same_mask")
    assert (row.value, row.n, row.reason) == (None, 0, "no attack succeeded")
    row = find(score(lines({"value": 1.0}, "T9", "success")), "attack_success_same_mask")
    assert (row.value, row.reason) == (None, "the masks were not compared")


def test_conditions_are_variants():
    rows = score(battery())
    found = {row.variant for row in rows if row.metric == "randomised_accuracy"}
    assert found == {"stage_1", "stage_2"}
    assert {row.variant for row in rows if row.metric == "mask_self_iou"} == {"original"}


def test_an_image_twice_is_refused():
    frame = lines({"value": 0.0}, "T1", "gradient")
    with pytest.raises(EnvironmentProblem, match="more than once") as caught:
        score(frame, frame.iloc[:1])
    assert caught.value.where == "battery (T1 gradient original)"


def test_one_group_has_no_worst_group():
    frame = lines({"value": 1.0}, "T3", "free_flip").assign(group="all")
    found = replace(tables(predictions({})), battery=frame)
    rows = invariance_rows(found, replace(CONTEXT, groups=("all",)))
    assert [row.metric for row in rows] == ["free_flip_rate"]
