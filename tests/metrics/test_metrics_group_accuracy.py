from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_support import CONTEXT, GROUPS, find, rates, tables

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.group_accuracy import group_accuracy_rows
from ifambench.metrics.uncertainty import mover_weighted_sum, smallest_rate, wilson

COUNTS = dict(zip(GROUPS, [(95, 100), (30, 50), (9, 20), (70, 80)], strict=True))

count = st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
group_counts = st.tuples(count, count, count, count).map(
    lambda found: dict(zip(GROUPS, found, strict=True))
)


def score(counts, context=CONTEXT):
    return group_accuracy_rows(tables(rates(counts)), context)


def test_values_are_those_of_pandas():
    frame = rates(COUNTS)
    right = frame["y_pred"] == frame["y"]
    by_group = right.groupby(frame["group"]).mean()
    rows = score(COUNTS)
    for group in GROUPS:
        assert find(rows, "group_accuracy", group=group).value == pytest.approx(by_group[group])
    assert find(rows, "accuracy").value == pytest.approx(right.mean())
    assert find(rows, "group_mean_accuracy").value == pytest.approx(by_group.mean())
    weighted = sum(w * by_group[g] for w, g in zip(CONTEXT.train_shares, GROUPS, strict=True))
    assert find(rows, "adjusted_accuracy").value == pytest.approx(weighted)


def test_worst_group_is_named_with_an_interval_that_allows_for_near_ties():
    row = find(score(COUNTS), "worst_group_accuracy")
    right, ns = zip(*COUNTS.values(), strict=True)
    assert (row.group, row.value, row.n) == ("water/land", 0.45, 20)
    assert (row.ci_low, row.ci_high) == smallest_rate(right, ns)
    assert row.ci_low == wilson(9, 20).low
    assert row.reason == "near_tie: land/water"
    assert row.ci_method == "wilson_near_ties"


def test_without_a_near_tie_it_is_the_wilson_interval_of_the_worst_group():
    clear = COUNTS | {"water/land": (1, 20)}
    row = find(score(clear), "worst_group_accuracy")
    assert (row.ci_low, row.ci_high) == wilson(1, 20)
    assert (row.reason, row.ci_method) == (None, "wilson")


def test_ties_go_to_the_group_declared_first():
    tied = dict.fromkeys(GROUPS, (3, 6))
    row = find(score(tied), "worst_group_accuracy")
    assert row.group == GROUPS[0]
    assert row.reason == f"near_tie: {', '.join(GROUPS[1:])}"


def test_averages_have_their_intervals():
    rows = score(COUNTS)
    right, ns = zip(*COUNTS.values(), strict=True)
    row = find(rows, "adjusted_accuracy")
    assert (row.ci_low, row.ci_high) == pytest.approx(
        mover_weighted_sum(CONTEXT.train_shares, right, ns)
    )
    row = find(rows, "accuracy")
    assert (row.ci_low, row.ci_high) == wilson(sum(right), sum(ns))
    assert find(rows, "group_mean_accuracy").ci_method == "mover_wilson"


def test_adjusted_accuracy_is_undefined_without_a_training_split():
    row = find(score(COUNTS, replace(CONTEXT, train_shares=None)), "adjusted_accuracy")
    assert row.value is None
    assert "training" in row.reason


@given(group_counts)
@settings(max_examples=40, deadline=None)
def test_bounds_and_order(counts):
    rows = score(counts)
    by_name = {row.metric: row for row in rows if row.metric != "group_accuracy"}
    for row in rows:
        assert 0 <= row.ci_low <= row.value + 1e-12
        assert row.value - 1e-12 <= row.ci_high <= 1 + 1e-12
    worst = by_name["worst_group_accuracy"].value
    for name in ("accuracy", "adjusted_accuracy", "group_mean_accuracy"):
        assert worst <= by_name[name].value + 1e-12


@given(group_counts)
@settings(max_examples=20, deadline=None)
def test_every_image_twice_keeps_the_values_and_narrows_the_intervals(counts):
    twice = {group: (2 * right, 2 * n) for group, (right, n) in counts.items()}
    for one, two in zip(score(counts), score(twice), strict=True):
        assert two.value == pytest.approx(one.value)
        assert two.n == 2 * one.n
        assert two.ci_high - two.ci_low < one.ci_high - one.ci_low


def test_a_declared_group_without_images_is_an_error_that_names_it():
    with pytest.raises(EnvironmentProblem, match="water/land"):
        score({group: found for group, found in COUNTS.items() if group != "water/land"})


def test_an_undeclared_group_is_an_error_that_names_it():
    with pytest.raises(EnvironmentProblem, match="sky"):
        score(COUNTS | {"sky": (1, 2)})


def test_a_repeated_image_is_an_error_that_names_it():
    frame = rates(COUNTS)
    with pytest.raises(EnvironmentProblem, match="land/land-0007"):
        group_accuracy_rows(tables(pd.concat([frame, frame.iloc[[7]]])), CONTEXT)


def test_other_splits_and_variants_do_not_count():
    frame = rates(COUNTS)
    wrong = {group: (0, 9) for group in GROUPS}
    others = [rates(wrong, split="val"), rates(wrong, variant="mixed_rand")]
    assert group_accuracy_rows(tables(pd.concat([*others, frame])), CONTEXT) == score(COUNTS)
