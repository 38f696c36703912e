from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifambench.metrics.paired_worst import worst_difference, worst_limits
from ifambench.metrics.uncertainty import (
    bonett_price,
    mover_weighted_sum,
    near_ties,
    smallest_rate,
    wilson,
)

cells = st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(sum)
tables = st.lists(cells, min_size=1, max_size=4)


def test_one_worst_group_is_the_paired_difference_of_that_group():
    table = [[95, 1, 2, 2], [60, 5, 15, 20]]
    assert worst_limits(table) == pytest.approx(bonett_price(5, 15, 100))


def test_two_worst_groups_are_two_independent_rates():
    table = [[60, 2, 36, 2], [70, 28, 1, 1]]  # a is worst in the first group, b in the second
    assert worst_limits(table) == pytest.approx(mover_weighted_sum([1, -1], [71, 62], [100, 100]))


def test_it_finds_the_better_run():
    # group 0: a has 60 of 100, b 80; group 1: both have all
    low, high, p = worst_difference([[58, 2, 22, 18], [100, 0, 0, 0]])
    assert 0.1 < low < 0.2 < high < 0.3
    assert p < 1e-4


def test_it_compares_minima_not_one_group():
    # a is worst on group 0 (50 of 100), b on group 1 (50 of 100): no difference of the minima
    low, high, p = worst_difference([[50, 0, 50, 0], [50, 50, 0, 0]])
    assert low < 0 < high
    assert p > 0.3


def test_near_ties_widen_the_interval():
    clear = [[50, 10, 20, 20], [98, 1, 1, 0]]
    tied = [*clear, [52, 9, 19, 20]]
    low, high = worst_limits(clear)
    wide = worst_limits(tied)
    assert wide[0] < low
    assert high < wide[1]


@given(tables)
@settings(max_examples=60, deadline=None)
def test_the_difference_is_inside_and_exchanging_the_runs_mirrors_it(table):
    counts = np.array(table)
    ns = counts.sum(axis=1)
    a, b = ((counts[:, 0] + counts[:, k]) / ns for k in (1, 2))
    low, high, p = worst_difference(counts)
    assert low - 1e-12 <= b.min() - a.min() <= high + 1e-12
    assert worst_difference(counts[:, [0, 2, 1, 3]])[:2] == pytest.approx((-high, -low))
    assert 0 < p <= 1


@given(tables)
@settings(max_examples=60, deadline=None)
def test_the_p_value_is_the_level_at_which_the_interval_reaches_0(table):
    low, high, p = worst_difference(table)
    if 1e-6 < p < 0.999:
        assert not _holds(worst_limits(table, 1 - 1.01 * p))
        assert _holds(worst_limits(table, 1 - 0.99 * p))
    assert (p < 0.05) == (not _holds((low, high))) or p == pytest.approx(0.05, abs=1e-6)


def _holds(limits):
    return limits[0] <= 0 <= limits[1]


def test_runs_that_agree_on_every_image_stay_close_in_spite_of_ties():
    low, high, p = worst_difference([[900, 0, 0, 100]] * 4)
    assert (low, p) == (pytest.approx(-high), 1.0)
    assert high < 0.005


def test_a_group_without_images_is_refused():
    with pytest.raises(ValueError, match="without images"):
        worst_difference([[1, 0, 0, 0], [0, 0, 0, 0]])


def test_the_smallest_rate_allows_for_near_ties():
    assert smallest_rate([80, 95], [100, 100]) == wilson(80, 100)
    right, ns = [80, 81, 95], [100] * 3
    assert near_ties(right, ns) == [1]
    low, high = smallest_rate(right, ns)
    assert low == wilson(80, 100).low
    assert high == pytest.approx(wilson(80, 100, 0.975).high)


@given(
    st.lists(
        st.integers(1, 100).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        min_size=1,
        max_size=6,
    )
)
def test_the_smallest_rate_holds_the_observed_one(counts):
    right, ns = zip(*counts, strict=True)
    low, high = smallest_rate(right, ns)
    assert low <= min(np.array(right) / np.array(ns)) <= high
