from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from full_tables import LABELS, RICH, rich_predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_support import find, tables
from sklearn.metrics import average_precision_score, roc_auc_score

from ifambench.metrics.discrimination import auroc, auroc_rows
from ifambench.metrics.spurious_precision import average_precision, spurious_rows
from ifambench.metrics.uncertainty import wilson

scores = st.lists(st.integers(0, 9), min_size=2, max_size=30)


def sides(seed, positives, negatives, shift=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, positives), rng.normal(0, 1, negatives)


@given(scores, scores)
@settings(max_examples=60, deadline=None)
def test_area_and_precision_are_those_of_sklearn_ties_included(positive, negative):
    truth = [1] * len(positive) + [0] * len(negative)
    both = positive + negative
    assert auroc(positive, negative).value == pytest.approx(roc_auc_score(truth, both))
    assert average_precision(positive, negative) == pytest.approx(
        average_precision_score(truth, both)
    )


def test_delong_by_its_double_sum():
    p, q = sides(0, 13, 17)
    kernel = (p[:, None] > q).astype(float) + 0.5 * (p[:, None] == q)
    area = kernel.mean()
    variance = np.var(kernel.mean(1), ddof=1) / 13 + np.var(kernel.mean(0), ddof=1) / 17
    half = 1.959963984540054 * math.sqrt(variance) / (area * (1 - area))
    ends = [1 / (1 + math.exp(-(math.log(area / (1 - area)) + side))) for side in (-half, half)]
    found = auroc(p, q)
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert found.method == "delong_logit"


def test_interval_covers_the_truth():
    truth = 0.5 * (1 + math.erf(0.5))  # P(N(1, 1) > N(0, 1))
    found = [auroc(*sides(seed, 40, 60)) for seed in range(400)]
    covered = np.mean([area.low <= truth <= area.high for area in found])
    assert 0.92 <= covered <= 0.98


def test_perfect_separation_still_has_a_width():
    found = auroc([2.0, 3.0, 4.0], [0.0, 1.0])
    assert found.value == 1
    assert (found.low, found.high) == wilson(2, 2)
    assert found.method == "wilson_smaller_side"


def test_one_side_empty_is_an_error():
    with pytest.raises(ValueError, match="positive and a negative"):
        auroc([], [1.0])


def originals(**changes):
    return rich_predictions().query("variant == 'original'").assign(**changes)


def test_the_second_label_is_positive_and_the_other_one_gives_the_same_area():
    frame = originals()
    logit = np.where(frame["y"] == 1, frame["margin"], -frame["margin"])
    expected = roc_auc_score(frame["y"], logit)
    assert find(auroc_rows(tables(frame), RICH), "auroc").value == pytest.approx(expected)
    other = replace(RICH, metrics={"auroc": {"positive_label": LABELS[0]}})
    assert find(auroc_rows(tables(frame), other), "auroc").value == pytest.approx(expected)


def test_robust_area_is_that_of_the_cells():
    frame = originals()
    land = frame["a_place"] == "land"
    part = frame[((frame["y"] == 1) & land) | ((frame["y"] == 0) & ~land)]
    logit = np.where(part["y"] == 1, part["margin"], -part["margin"])
    row = find(auroc_rows(tables(frame), RICH), "robust_auroc")
    assert row.value == pytest.approx(roc_auc_score(part["y"], logit))
    assert row.n == len(part)


def test_an_empty_cell_is_undefined_and_named():
    row = find(auroc_rows(tables(originals(a_place="water")), RICH), "robust_auroc")
    assert (row.value, row.n, row.reason) == (None, 0, "no positive image with place land")


def test_not_asked_for_no_row():
    context = replace(RICH, metrics={})
    assert auroc_rows(tables(originals()), context) == []
    assert spurious_rows(tables(originals()), context) == []


def test_spurious_precision_is_the_mean_over_the_classes():
    frame = originals()
    expected = [
        average_precision_score(part["a_kind"] == "class", part["prob_true"])
        for _, part in frame.groupby("y")
    ]
    row = find(spurious_rows(tables(frame), RICH), "spurious_ap")
    assert row.value == pytest.approx(np.mean(expected))
    assert row.n == len(frame)
    assert row.ci_low < row.value < row.ci_high


def test_the_interval_of_spurious_precision_is_two_standard_errors_to_each_side():
    frame, rng = originals(), np.random.default_rng(8)
    draws = []
    for _ in range(300):
        drawn = frame.groupby(["y", "a_kind"]).sample(frac=1, replace=True, random_state=rng)
        precisions = [
            average_precision_score(part["a_kind"] == "class", part["prob_true"])
            for _, part in drawn.groupby("y")
        ]
        draws.append(np.mean(precisions))
    row = find(spurious_rows(tables(frame), RICH), "spurious_ap")
    assert row.ci_low > 0
    assert row.ci_high < 1
    assert row.ci_high - row.value == pytest.approx(1.96 * np.std(draws), rel=0.2)
    assert row.value - row.ci_low == pytest.approx(row.ci_high - row.value)


def test_several_features_of_one_class_share_its_images():
    params = RICH.metrics["spurious_ap"] | {"feature": "place"}
    context = replace(RICH, metrics={"spurious_ap": params})
    frame = originals()
    expected = []
    for (y, _), part in frame[frame["a_kind"] == "spurious"].groupby(["y", "a_place"]):
        own = frame[(frame["y"] == y) & (frame["a_kind"] == "class")]
        expected.append(average_precision(own["prob_true"], part["prob_true"]))
    assert len(expected) == 4
    row = find(spurious_rows(tables(frame), context), "spurious_ap")
    assert row.value == pytest.approx(np.mean(expected))


def test_features_without_a_positive_image_are_named():
    frame = originals()
    frame = frame[(frame["y"] == 0) | (frame["a_kind"] == "spurious")]
    row = find(spurious_rows(tables(frame), RICH), "spurious_ap")
    own = frame[frame["y"] == 0]
    expected = average_precision_score(own["a_kind"] == "class", own["prob_true"])
    assert (row.value, row.n) == (pytest.approx(expected), len(own))
    assert row.reason == "1 of 2 features have no positive image"
    few = own.groupby("a_kind").head(1)
    assert find(spurious_rows(tables(few), RICH), "spurious_ap").ci_low is None


def test_spurious_precision_without_pairs_is_undefined():
    row = find(spurious_rows(tables(originals(a_kind="class")), RICH), "spurious_ap")
    assert (row.value, row.n) == (None, 0)
    assert "both positive and negative" in row.reason
