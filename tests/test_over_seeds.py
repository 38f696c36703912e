"""Numbers over training seeds, and when two models are apart."""

import math
import statistics as stdlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifambench.over_seeds import distinguishable, limits, sample_of, statistics
from ifambench.records.row import Value


def values(*numbers, half=None, higher_is_better=True):
    return [
        Value(x, *((None, None) if half is None else (x - half, x + half)), higher_is_better)
        for x in numbers
    ]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_statistics_are_those_of_the_standard_library(found):
    row = statistics("x", found)
    assert row["x_mean"] == pytest.approx(stdlib.fmean(found))
    assert row["x_std"] == pytest.approx(stdlib.stdev(found), abs=1e-12)
    assert row["x_min"] == min(found)


def test_one_seed_has_no_spread_and_a_missing_seed_no_statistics():
    assert statistics("x", [0.5]) == {"x_mean": 0.5, "x_std": None, "x_min": 0.5}
    assert set(statistics("x", [0.5, None]).values()) == {None}


def test_limits_over_seeds_stay_within_what_a_fraction_can_be():
    far = values(0.9, 0.6)
    assert limits("worst_group_accuracy", far) == {
        "primary_ci_low": 0.0,
        "primary_ci_high": 1.0,
    }
    assert limits("bg_gap", far)["primary_ci_high"] > 1  # a difference is no fraction


def test_the_only_run_keeps_its_own_limits():
    assert limits("x", values(0.5, half=0.1)) == {"primary_ci_low": 0.4, "primary_ci_high": 0.6}


def test_seeds_with_a_spread_are_compared_by_welch():
    high, near, low = (sample_of(values(m - 0.01, m, m + 0.01)) for m in (0.8, 0.795, 0.7))
    assert distinguishable(high, low)
    assert not distinguishable(high, near)


def test_given_weights_are_compared_by_their_images():
    """Equal values over seeds have no spread that could tell anything."""
    a, b = (sample_of(values(m, m, half=0.05)) for m in (0.8, 0.74))
    assert not distinguishable(a, b)
    assert distinguishable(a, sample_of(values(0.8 - math.hypot(0.05, 0.05) - 0.001, half=0.05)))


def test_where_lower_is_better_the_smaller_leads():
    low, high = (sample_of(values(m, half=0.01, higher_is_better=False)) for m in (0.1, 0.2))
    assert low.mean == -0.1
    assert distinguishable(low, high)
