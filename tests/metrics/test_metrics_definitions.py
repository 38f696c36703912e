"""The metrics against independent derivations of the definitions of WILDS and SubpopBench."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from full_tables import RICH, rich_predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_support import CONTEXT, GROUPS, find, predictions, tables

from ifambench.metrics.calibration import expected_calibration_error
from ifambench.metrics.class_accuracy import class_accuracy_rows
from ifambench.metrics.score import score_tables

seeds = st.integers(0, 10_000)


def random_predictions(seed: int, classes: int = 3) -> pd.DataFrame:
    """Images of random classes and groups, every group and class with at least one."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    group = np.concatenate([np.arange(4), rng.integers(0, 4, n)])
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, group.size - classes)])
    right = rng.random(group.size) < rng.random(4)[group]
    return pd.DataFrame(
        {
            "id": [f"{index:03d}" for index in range(group.size)],
            "split": "test",
            "variant": "original",
            "group": np.array(GROUPS)[group],
            "y": y,
            "y_pred": np.where(right, y, (y + 1) % classes),
            "prob_pred": rng.random(group.size),
        }
    )


def value(frame: pd.DataFrame, metric: str, context=CONTEXT) -> float:
    return find(score_tables(tables(frame), context), metric).value


def wilds(y_pred, y, group, n_groups, train_shares):
    """acc_avg, acc_wg and adj_acc_avg as WILDS computes them: one-hot sums over group indices."""
    correct = [float(a == b) for a, b in zip(y_pred, y, strict=True)]
    total, hits = [0.0] * n_groups, [0.0] * n_groups
    for g, c in zip(group, correct, strict=True):
        total[g] += 1
        hits[g] += c
    accuracies = [h / (t + (t == 0)) for h, t in zip(hits, total, strict=True)]
    worst = min(a for a, t in zip(accuracies, total, strict=True) if t > 0)
    weights = [share / sum(train_shares) for share in train_shares]
    adjusted = sum(w * a for w, a in zip(weights, accuracies, strict=True))
    return sum(correct) / len(correct), worst, adjusted


def subpopbench(y_pred, y, group):
    """Its per-attribute-and-class accuracies, their mean and minimum, and balanced_acc."""
    masks = {g: np.array([other == g for other in group]) for g in set(group)}
    by_group = {g: float(np.mean(y_pred[mask] == y[mask])) for g, mask in masks.items()}
    recalls = []
    for k in set(y.tolist()):
        true_positive = int(np.sum((y == k) & (y_pred == k)))
        recalls.append(true_positive / int(np.sum(y == k)))
    return {
        "worst_group": min(by_group.values()),
        "adjusted_accuracy": sum(by_group.values()) / len(by_group),
        "balanced_acc": sum(recalls) / len(recalls),
        "worst_class": min(recalls),
    }


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_wilds(seed):
    frame = random_predictions(seed)
    index = [GROUPS.index(name) for name in frame["group"]]
    expected = wilds(frame["y_pred"], frame["y"], index, 4, CONTEXT.train_shares)
    names = ("accuracy", "worst_group_accuracy", "adjusted_accuracy")
    assert [value(frame, name) for name in names] == pytest.approx(expected)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_subpopbench(seed):
    frame = random_predictions(seed)
    y_pred, y = frame["y_pred"].to_numpy(), frame["y"].to_numpy()
    expected = subpopbench(y_pred, y, frame["group"].tolist())
    assert value(frame, "worst_group_accuracy") == pytest.approx(expected["worst_group"])
    assert value(frame, "group_mean_accuracy") == pytest.approx(expected["adjusted_accuracy"])
    assert value(frame, "class_mean_accuracy") == pytest.approx(expected["balanced_acc"])
    assert value(frame, "worst_class_accuracy") == pytest.approx(expected["worst_class"])
    minority = frame[frame["group"].isin(CONTEXT.minority)]
    worst = (minority["y_pred"] == minority["y"]).groupby(minority["group"]).mean().min()
    assert value(frame, "minority_worst_accuracy") == pytest.approx(worst)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_calibration_error_by_loops_over_bins(seed):
    frame = random_predictions(seed)
    error = 0.0
    for b in range(15):
        inside = (frame["prob_pred"] > b / 15) & (frame["prob_pred"] <= (b + 1) / 15)
        if inside.any():
            part = frame[inside]
            right = (part["y_pred"] == part["y"]).mean()
            error += len(part) / len(frame) * abs(right - part["prob_pred"].mean())
    assert value(frame, "expected_calibration_error") == pytest.approx(error)


def test_calibration_error_at_the_edges_of_the_bins():
    assert expected_calibration_error([0.0, 1.0], [False, True]) == 0
    assert expected_calibration_error([1.0] * 4, [True, True, True, False]) == 0.25
    # 0.2 is the upper edge of the third bin, so it does not share one with 0.21
    assert expected_calibration_error([0.2, 0.21], [False, True]) == pytest.approx(0.495)


@given(st.integers(0, 50))
@settings(max_examples=5, deadline=None)
def test_the_order_of_the_rows_changes_nothing(seed):
    context = replace(RICH, resamples=20)
    frame = rich_predictions(seed, per_group=6)
    shuffled = frame.sample(frac=1, random_state=seed)
    assert score_tables(tables(shuffled), context) == score_tables(tables(frame), context)


def test_classes_without_an_image_do_not_count():
    frame = random_predictions(0).query("y != 1")
    context = replace(CONTEXT, labels=("a", "b", "c"))
    rows = score_tables(tables(frame), context)
    right = frame["y_pred"] == frame["y"]
    assert find(rows, "class_mean_accuracy").value == pytest.approx(
        right.groupby(frame["y"]).mean().mean()
    )
    assert find(rows, "worst_class_accuracy").group in {"a", "c"}


@pytest.mark.parametrize("classes", [147, 200, 1000])
def test_means_over_many_classes_stay_within_bounds(classes):
    y = list(range(classes))
    for predicted, value in ((y, 1.0), ([classes] * classes, 0.0)):
        frame = predictions({GROUPS[0]: predicted}).assign(y=y)
        row = find(class_accuracy_rows(tables(frame), CONTEXT), "class_mean_accuracy")
        assert row.value == pytest.approx(value)
        assert 0 <= row.ci_low <= row.value <= row.ci_high <= 1


def test_no_minority_no_row():
    names = {
        row.metric
        for row in score_tables(tables(random_predictions(0)), replace(CONTEXT, minority=()))
    }
    assert "minority_worst_accuracy" not in names


def test_one_group_has_an_accuracy_and_nothing_to_be_worst():
    frame = random_predictions(1).assign(group="all")
    context = replace(CONTEXT, groups=("all",), minority=(), train_shares=None)
    rows = score_tables(tables(frame), context)
    found = {row.metric for row in rows}
    assert {"accuracy", "worst_class_accuracy", "class_mean_accuracy"} <= found
    assert not {"worst_group_accuracy", "adjusted_accuracy", "group_accuracy"} & found
    keys = [(row.metric, row.group, row.variant) for row in rows]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        (None, "no training split"),
        ((0.0, 0.0, 0.0, 0.0), "none of the evaluated groups"),
    ],
)
def test_adjusted_accuracy_without_shares_is_undefined(shares, reason):
    context = replace(CONTEXT, train_shares=shares)
    row = find(score_tables(tables(random_predictions(2)), context), "adjusted_accuracy")
    assert (row.value, row.n) == (None, 0)
    assert reason in row.reason


def test_adjusted_accuracy_says_when_training_held_other_groups_too():
    frame, shares = random_predictions(3), (0.5, 0.0, 0.1, 0.0)
    context = replace(CONTEXT, train_shares=shares)
    row = find(score_tables(tables(frame), context), "adjusted_accuracy")
    index = [GROUPS.index(name) for name in frame["group"]]
    assert row.value == pytest.approx(wilds(frame["y_pred"], frame["y"], index, 4, shares)[2])
    assert "60.0% of the training images" in row.reason


def test_a_long_list_of_near_ties_is_cut():
    names = tuple(f"g{index}" for index in range(12))
    one = random_predictions(4)
    parts = [one.assign(group=name, id=name + one["id"], y_pred=one["y"]) for name in names]
    frame = pd.concat(parts)
    context = replace(CONTEXT, groups=names, train_shares=None, minority=())
    row = find(score_tables(tables(frame), context), "worst_group_accuracy")
    assert row.reason == "near_tie: g1, g2, g3, g4, g5 and 6 more"
    assert math.isclose(row.value, 1)
