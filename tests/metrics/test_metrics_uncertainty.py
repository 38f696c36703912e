from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ifambench.metrics.uncertainty import (
    EXACT_BELOW,
    bonett_price,
    holm,
    mcnemar,
    mover_weighted_sum,
    near_ties,
    paired_t,
    welch,
    wilson,
)

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (8, 10), (601, 642), (1, 5000)])
def test_wilson_is_scipys(successes, n, level):
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson(successes, n, level) == pytest.approx(tuple(expected), abs=1e-9)


@given(counts)
def test_wilson_holds_the_estimate_and_stays_in_bounds(count):
    low, high = wilson(*count)
    assert 0 <= low <= count[0] / count[1] <= high <= 1
    assert low < high


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_near_ties_are_within_one_half_width_of_the_worst():
    low, high = wilson(80, 100)
    half = (high - low) / 2
    inside, outside = math.floor(80 + 100 * half), math.ceil(80 + 100 * half)
    assert near_ties([inside, 80, outside, 99], [100] * 4) == [0]
    assert near_ties([80, 80, 99], [100] * 3) == [1]


@given(st.lists(counts, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_mover_holds_the_estimate_and_stays_in_bounds(groups, random):
    weights = [random.random() + 0.01 for _ in groups]
    weights = [w / sum(weights) for w in weights]
    successes, ns = zip(*groups, strict=True)
    estimate = sum(w * x / n for w, x, n in zip(weights, successes, ns, strict=True))
    low, high = mover_weighted_sum(weights, successes, ns)
    assert -1e-12 <= low <= estimate + 1e-12
    assert estimate - 1e-12 <= high <= 1 + 1e-12


def test_mover_of_a_difference_is_newcombes_interval():
    # Newcombe (1998), Statistics in Medicine 17, table II, method 10: 56/70 - 48/80
    low, high = mover_weighted_sum([1, -1], [56, 48], [70, 80])
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_bonett_price_is_wald_with_one_image_more_in_each_discordant_cell():
    # Bentur et al. 2009 (1, 7 of 21), as in Fagerland, Lydersen and Laake (2014)
    lost, won, n = 2 / 23, 8 / 23, 23
    half = stats.norm.ppf(0.975) * math.sqrt((lost + won - (won - lost) ** 2) / n)
    expected = (won - lost - half, won - lost + half)
    assert bonett_price(1, 7, 21) == pytest.approx(expected, abs=1e-9)


@given(counts.flatmap(lambda c: st.tuples(st.integers(0, c[0]), st.just(c[0]), st.just(c[1]))))
def test_bonett_price_holds_the_estimate_and_is_symmetric(cells):
    only_a, discordant, n = cells
    only_b = discordant - only_a
    low, high = bonett_price(only_a, only_b, n)
    assert -1 <= low < high <= 1
    assert low <= (only_b - only_a) / n <= high
    assert bonett_price(only_b, only_a, n) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_bonett_price_refuses_impossible_counts(only_a, only_b, n):
    with pytest.raises(ValueError, match="pair counts"):
        bonett_price(only_a, only_b, n)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 6), (3, 3), (5, 12), (12, 12)])
def test_mcnemar_is_exact_for_few_discordant_pairs(b, c):
    assert b + c < EXACT_BELOW
    expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(5, 20), (13, 12), (40, 61), (900, 1000), (50, 50)])
def test_mcnemar_is_mid_p_for_many(b, c):
    exact = stats.binomtest(b, b + c, 0.5).pvalue
    half = stats.binom.pmf(min(b, c), b + c, 0.5)
    expected = exact - half if b != c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, abs=1e-12)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_mid_p_is_near_the_score_test():
    b, c = 400, 460
    assert mcnemar(b, c) == pytest.approx(stats.chi2.sf((b - c) ** 2 / (b + c), 1), abs=1e-3)


def holm_by_closed_testing(p_values):
    """p_i = largest Bonferroni p over all subsets that contain i."""
    m = len(p_values)
    adjusted = [0.0] * m
    for size in range(1, m + 1):
        for subset in itertools.combinations(range(m), size):
            whole = min(1.0, size * min(p_values[i] for i in subset))
            for i in subset:
                adjusted[i] = max(adjusted[i], whole)
    return adjusted


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_closed_testing_with_bonferroni(p_values):
    assert holm(p_values) == pytest.approx(holm_by_closed_testing(p_values))


samples = st.lists(st.floats(0, 1).map(lambda x: round(x, 3)), min_size=2, max_size=6)


@given(samples, samples)
@settings(max_examples=50)
def test_welch_is_scipys(a, b):
    if min(len(set(a)), len(set(b))) < 2:
        return
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert welch(a, b)[:2] == pytest.approx(tuple(expected.confidence_interval()), abs=1e-9)
    assert welch(a, b).p == pytest.approx(expected.pvalue, abs=1e-9)


def test_paired_t_is_scipys():
    a, b = [0.61, 0.64, 0.58, 0.70], [0.66, 0.65, 0.69, 0.71]
    expected = stats.ttest_rel(b, a)
    assert paired_t(a, b)[:2] == pytest.approx(tuple(expected.confidence_interval()))
    assert paired_t(a, b).p == pytest.approx(expected.pvalue)


def test_seeds_without_spread_give_a_point():
    assert welch([0.5, 0.5], [0.75, 0.75]) == (0.25, 0.25, 0.0)
    assert paired_t([0.5, 0.5], [0.5, 0.5]) == (0.0, 0.0, 1.0)
