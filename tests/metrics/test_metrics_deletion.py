from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_support import CONTEXT, GROUPS, explanations, find, rates, tables

from ifambench.metrics.deletion import curve_auc, deletion_rows, is_floor, operator_of
from ifambench.metrics.resampling import bootstrap_mean

PREDICTIONS = rates(dict.fromkeys(GROUPS, (1, 2)))


def score(*frames):
    return deletion_rows(tables(PREDICTIONS, pd.concat(frames)), CONTEXT)


def curves(contributions, base=0.0):
    """Naive deletion and insertion curve of an additive model, patch by patch."""
    n = len(contributions)
    deletion = [base + sum(contributions[k:]) for k in range(n + 1)]
    insertion = [base + sum(contributions[:k]) for k in range(n + 1)]
    return np.linspace(0, 1, n + 1), np.array(deletion), np.array(insertion)


def test_auc_of_a_falling_line():
    assert curve_auc([0, 0.5, 1], [1, 0.5, 0]) == 0.5


def test_auc_weights_by_the_width_of_the_steps():
    assert curve_auc([0, 0.1, 1], [1, 0, 0]) == pytest.approx(0.05)


def test_auc_is_a_naive_trapezoid_for_every_curve():
    rng = np.random.default_rng(0)
    x = np.array([0, 0.07, 0.4, 0.41, 1])
    scores = rng.normal(size=(3, 2, 5))
    expected = np.zeros((3, 2))
    for i in range(4):
        expected += (scores[..., i] + scores[..., i + 1]) / 2 * (x[i + 1] - x[i])
    np.testing.assert_allclose(curve_auc(x, scores), expected, rtol=1e-12)


@pytest.mark.parametrize("x", [[0, 0.5], [0.1, 1], [0, 0.5, 0.5, 1], [0], [0, 0.7, 0.5, 1]])
def test_auc_needs_both_ends_and_increasing_fractions(x):
    with pytest.raises(ValueError, match="increase"):
        curve_auc(x, np.zeros(len(x)))


def test_auc_needs_one_score_per_fraction():
    with pytest.raises(ValueError, match="3 fractions, but 2"):
        curve_auc([0, 0.5, 1], [1, 0])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(-1, 1))
@settings(max_examples=60)
def test_closed_forms_of_an_additive_model(contributions, base):
    x, deletion, insertion = curves(contributions, base)
    n, c = len(contributions), np.array(contributions)
    j = np.arange(1, n + 1)
    assert curve_auc(x, deletion) == pytest.approx(base + (c * (j - 0.5)).sum() / n, abs=1e-9)
    assert curve_auc(x, insertion) == pytest.approx(base + (c * (n - j + 0.5)).sum() / n, abs=1e-9)
    srg = curve_auc(x, insertion) - curve_auc(x, deletion)
    assert srg == pytest.approx((c * (n + 1 - 2 * j)).sum() / n, abs=1e-9)


def test_least_relevant_first_is_insertion_read_backwards():
    rng = np.random.default_rng(1)
    contributions = np.sort(rng.uniform(size=9))[::-1]
    x, most_first, insertion = curves(list(contributions))
    _, least_first, _ = curves(list(contributions[::-1]))
    np.testing.assert_allclose(least_first, insertion[::-1])
    gain = curve_auc(x, least_first) - curve_auc(x, most_first)
    assert gain == pytest.approx(float(curve_auc(x, insertion) - curve_auc(x, most_first)))


def test_srg_of_the_best_order_is_the_gini_coefficient_times_the_sum():
    c = np.sort(np.random.default_rng(2).uniform(size=25))[::-1]
    x, deletion, insertion = curves(list(c))
    gini = np.abs(c[:, None] - c[None]).sum() / (2 * c.size * c.sum())
    assert curve_auc(x, insertion) - curve_auc(x, deletion) == pytest.approx(gini * c.sum())


def test_srg_of_random_orders_is_zero_on_average_and_of_a_constant_model_exactly():
    rng = np.random.default_rng(3)
    c = rng.uniform(size=12)
    gains = []
    for _ in range(400):
        x, deletion, insertion = curves(list(rng.permutation(c)))
        gains.append(float(curve_auc(x, insertion) - curve_auc(x, deletion)))
    assert abs(np.mean(gains)) < 3 * np.std(gains) / 20
    x, deletion, insertion = curves([0.0] * 12, base=0.3)
    assert curve_auc(x, insertion) - curve_auc(x, deletion) == 0


def test_means_over_all_images_and_per_group():
    frame = explanations("grad_cam", 1)
    rows = score(frame, explanations("random", 2))
    overall = find(rows, "srg", explainer="grad_cam", group="all")
    assert overall.value == pytest.approx(frame["srg"].mean())
    limits = bootstrap_mean(frame["srg"], frame["group"], CONTEXT.resamples, CONTEXT.seed)
    assert (overall.ci_low, overall.ci_high) == limits[:2]
    assert overall.ci_method == "expanded_bootstrap_200"
    part = frame.loc[frame["group"] == GROUPS[2], "deletion_auc"]
    row = find(rows, "deletion_auc", explainer="grad_cam", group=GROUPS[2])
    assert (row.value, row.n) == (pytest.approx(part.mean()), 6)
    parts = [
        find(rows, name, explainer="grad_cam", group="all").value
        for name in ("insertion_auc", "deletion_auc")
    ]
    assert overall.value == pytest.approx(parts[0] - parts[1])


def test_gain_over_random_is_paired_by_image():
    frame = explanations("grad_cam", 1)
    floor = frame.assign(explainer="random", srg=frame["srg"] - 0.25)
    rows = score(frame, floor.sample(frac=1, random_state=0))
    row = find(rows, "srg_over_random", explainer="grad_cam", group="all")
    assert (row.value, row.ci_low, row.ci_high) == pytest.approx((0.25, 0.25, 0.25))
    assert find(rows, "deletion_auc_over_random", explainer="grad_cam", group="all").value == 0
    assert not [r for r in rows if r.explainer == "random" and r.metric.endswith("over_random")]


def test_gain_without_the_floor_is_undefined_with_a_reason():
    row = find(score(explanations("grad_cam", 1)), "srg_over_random", group="all")
    assert row.value is None
    assert "random was not run" in row.reason


def test_gain_needs_the_same_operator():
    rows = score(explanations("grad_cam", 1, operator="drop"), explanations("random", 2))
    row = find(rows, "srg_over_random", explainer="grad_cam", group="all")
    assert row.value is None
    assert "same operator" in row.reason


def measured(explainer, seed, **columns):
    """A table as it is written since the logit is measured too."""
    frame = explanations(explainer, seed, **columns)
    logits = {f"{name}_logit": 5 * frame[name] for name in ("deletion_auc", "insertion_auc", "srg")}
    return frame.assign(**logits)


def test_one_sided_gains_add_up_to_the_srg():
    frame, floor = measured("grad-cam", 1), measured("random", 2)
    rows = score(frame, floor.sample(frac=1, random_state=0))
    mrg, lrg = (find(rows, name, explainer="grad-cam", group="all") for name in ("mrg", "lrg"))
    area = (floor["deletion_auc"] + floor["insertion_auc"]) / 2
    assert mrg.value == pytest.approx((area - frame["deletion_auc"]).mean())
    assert lrg.value == pytest.approx((frame["insertion_auc"] - area).mean())
    for group in ("all", *GROUPS):
        parts = [
            find(rows, name, explainer="grad-cam", group=group).value
            for name in ("mrg", "lrg", "srg")
        ]
        assert parts[0] + parts[1] == pytest.approx(parts[2])
    assert not [row for row in rows if row.explainer == "random" and row.metric in ("mrg", "lrg")]


def test_another_operator_has_its_own_floor():
    drop = {"operator": "drop"}
    frame = measured("grad-cam@drop", 1, **drop)
    floor = frame.assign(explainer="random@drop", srg=frame["srg"] - 0.25)
    rows = score(frame, floor, measured("grad-cam", 3), measured("random", 4))
    gain = find(rows, "srg_over_random", explainer="grad-cam@drop", group="all")
    assert gain.value == pytest.approx(0.25)
    assert not [row for row in rows if row.explainer == "random@drop" and "over" in row.metric]
    without = score(frame, measured("random", 4))
    row = find(without, "mrg", explainer="grad-cam@drop", group="all")
    assert row.value is None
    assert "random@drop was not run" in row.reason


def test_the_logit_has_areas_of_its_own():
    frame = measured("grad-cam", 1)
    row = find(score(frame), "srg_logit", group="all")
    assert row.value == pytest.approx(5 * frame["srg"].mean())
    assert row.unit == "logit"


def test_tables_of_earlier_versions_have_the_rows_they_had():
    rows = score(explanations("grad-cam", 1), explanations("random", 2))
    names = {"deletion_auc", "insertion_auc", "srg"}
    assert {row.metric for row in rows} == names | {"srg_over_random", "deletion_auc_over_random"}


@pytest.mark.parametrize(
    ("label", "operator", "floor"),
    [("random", "", True), ("random@drop", "@drop", True), ("grad-cam@drop", "@drop", False)],
)
def test_labels_name_their_operator(label, operator, floor):
    assert (operator_of(label), is_floor(label)) == (operator, floor)


def test_undefined_images_are_left_out_and_not_counted():
    frame = explanations("grad_cam", 1)
    frame.loc[frame["group"] == GROUPS[0], "srg"] = np.nan
    rows = score(frame)
    assert find(rows, "srg", group="all").n == 18
    assert find(rows, "srg", group="all").value == pytest.approx(frame["srg"].mean())
    empty = find(rows, "srg", group=GROUPS[0])
    assert (empty.value, empty.reason) == (None, "no explained image")


def test_nothing_explained_gives_no_rows():
    assert deletion_rows(tables(PREDICTIONS), CONTEXT) == []
