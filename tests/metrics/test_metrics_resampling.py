from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp

from ifambench.metrics import resampling
from ifambench.metrics.resampling import (
    bootstrap_mean,
    bootstrap_paired_rates,
)


def normal_limits(mean, error):
    return (mean - 1.96 * error, mean + 1.96 * error)


def test_bootstrap_mean_is_near_the_stratified_normal_interval():
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b"], [300, 100])
    values = np.where(strata == "a", rng.normal(0, 1, 400), rng.normal(5, 2, 400))
    variances = [values[strata == s].var() / (strata == s).sum() for s in ("a", "b")]
    error = np.sqrt(0.75**2 * variances[0] + 0.25**2 * variances[1])
    found = bootstrap_mean(values, strata, resamples=4000, seed=1)
    assert found[:2] == pytest.approx(normal_limits(values.mean(), error), abs=0.1 * error)
    assert found.p < 1e-20


def test_few_images_have_the_interval_of_students_t():
    """Four per stratum: the plain percentiles are a quarter too short."""
    rng = np.random.default_rng(4)
    widths = []
    for seed in range(40):
        values, strata = rng.normal(size=16), np.repeat(np.arange(4), 4)
        variance = sum(values[strata == s].var(ddof=1) * 4 for s in range(4)) / 16**2
        found = bootstrap_mean(values, strata, resamples=2000, seed=seed)
        widths.append((found.high - found.low) / np.sqrt(variance))
    assert np.mean(widths) == pytest.approx(2 * student_t(12).ppf(0.975), rel=0.05)


@pytest.mark.parametrize("values", [[0.3, 0.5], [0.1, 0.5, 0.6]])
def test_too_few_images_for_a_percentile_have_students_interval(values):
    """The outermost of 4 or 27 resamples is far likelier than the percentile that is asked for."""
    found = bootstrap_mean(values, [0] * len(values), resamples=20000)
    exact = ttest_1samp(values, 0.0).confidence_interval()
    assert found[:2] == pytest.approx((exact.low, exact.high), rel=0.03)


def test_a_group_that_varies_most_has_its_own_degrees_of_freedom():
    """The other strata do not vary, so the interval is that of the four images."""
    rng = np.random.default_rng(6)
    four, strata = rng.normal(size=4), np.repeat([0, 1, 2], 4)
    alone = bootstrap_mean(four, [0] * 4, resamples=20000)
    among = bootstrap_mean([*four, *[0.0] * 8], strata, resamples=20000)
    assert among.high - among.low == pytest.approx((alone.high - alone.low) / 3, rel=0.02)


def test_limits_and_p_agree_for_few_images():
    """Shifted so that a limit is 0, p is the level."""
    values, strata = np.random.default_rng(1).normal(size=12), np.repeat([0, 1, 2], 4)
    low = bootstrap_mean(values, strata, resamples=20000).low
    assert bootstrap_mean(values - low, strata, resamples=20000).p == pytest.approx(0.05, abs=0.003)


def test_limits_stay_within_what_a_mean_can_be():
    values = [1.0, 1.0, 1.0, 0.9, 0.2, 1.0]
    assert bootstrap_mean(values, [0] * 6).high > 1
    assert bootstrap_mean(values, [0] * 6, bounds=(0.0, 1.0)).high == 1


def test_p_is_not_held_up_by_the_number_of_resamples():
    values = np.random.default_rng(2).normal(1.0, 0.4, size=24)
    found, exact = bootstrap_mean(values, [0] * 24), ttest_1samp(values, 0.0).pvalue
    assert found.p < 1e-7
    assert np.log10(found.p) == pytest.approx(np.log10(exact), abs=1.5)


def test_strata_of_one_image_are_joined():
    """Joined they are one stratum; a single one goes to the smallest of the others."""
    values = [0.1, 0.5, 0.9, 0.4, 0.3]
    pooled = bootstrap_mean(values, [0] * 5)
    assert bootstrap_mean(values, [0, 1, 2, 3, 4]) == pooled
    joined = bootstrap_mean(values, [0, 0, 0, 1, 1])
    assert bootstrap_mean([*values, 0.7], [0, 0, 0, 1, 1, 2]).p != joined.p
    assert bootstrap_mean([*values, 0.7], [0, 0, 0, 1, 1, 2]) == bootstrap_mean(
        [*values, 0.7], [0, 0, 0, 1, 1, 1]
    )


def test_one_image_has_no_interval():
    low, high, p = bootstrap_mean([0.3], [0])
    assert np.isnan([low, high]).all()
    assert p == 1


def test_strata_keep_their_sizes():
    values, strata = [0.0] * 50 + [1.0] * 50, [0] * 50 + [1] * 50
    assert bootstrap_mean(values, strata)[:2] == (0.5, 0.5)
    free = bootstrap_mean(values, [0] * 100)
    assert free.high - free.low > 0.1


def test_bootstrap_mean_does_not_depend_on_the_block_size(monkeypatch):
    values = np.random.default_rng(3).normal(size=40)
    monkeypatch.setattr(resampling, "_BLOCK", 40 * 70)
    low, high, _ = bootstrap_mean(values, np.zeros(40), resamples=500, seed=2)
    assert high - low == pytest.approx(3.92 * values.std() / np.sqrt(40), rel=0.15)
    assert resampling._draw_counts(40, 10, (2, 0, 490)).sum() == 400


def test_equal_seeds_give_equal_draws_and_other_seeds_others():
    values = np.random.default_rng(0).normal(size=30)
    same = [bootstrap_mean(values, np.zeros(30), 300, seed) for seed in (5, 5, 6)]
    assert same[0] == same[1] != same[2]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
@settings(max_examples=40)
def test_bootstrap_mean_holds_the_mean_within_the_bounds(values):
    low, high, p = bootstrap_mean(values, [0] * len(values), resamples=50, bounds=(-1.0, 1.0))
    assert len(values) == 1 or -1 <= low <= np.mean(values) <= high <= 1
    assert 0 <= p <= 1


@pytest.mark.parametrize("values", [[], [1.0, np.nan]])
def test_bootstrap_mean_refuses_undefined_values(values):
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean(values, [0] * len(values))


def test_paired_rates_are_near_the_normal_interval():
    counts = np.array([[30, 150, 60], [10, 80, 10]])
    ns, weights = counts.sum(axis=1), np.array([0.7, 0.3])
    means = (counts[:, 2] - counts[:, 0]) / ns
    variances = ((counts[:, 0] + counts[:, 2]) / ns - means**2) / ns
    expected = normal_limits(weights @ means, np.sqrt(weights**2 @ variances))
    found = bootstrap_paired_rates(counts, [-1, 0, 1], weights, resamples=4000)
    assert found[:2] == pytest.approx(expected, abs=0.005)
    assert found.p < 0.05


def test_paired_rates_are_what_resampling_images_gives():
    counts, outcomes = np.array([[20, 50, 30]]), np.array([-1.0, 0.0, 1.0])
    images = np.repeat(outcomes, counts[0])
    by_counts = bootstrap_paired_rates(counts, outcomes, [1.0], resamples=8000)
    by_image = bootstrap_mean(images, np.zeros(100), resamples=8000)
    assert by_counts[:2] == pytest.approx(by_image[:2], abs=0.011)


def test_paired_rates_refuse_an_empty_stratum():
    with pytest.raises(ValueError, match="without images"):
        bootstrap_paired_rates([[1, 2], [0, 0]], [0, 1], [0.5, 0.5])


def test_cost_does_not_grow_with_the_images():
    small, large = (
        bootstrap_paired_rates(np.array([[7, 1, 2, 1]]) * scale, [0, -1, 1, 0], [1.0], 500)
        for scale in (100, 10**9)
    )
    assert large.high - large.low < 1e-3 < small.high - small.low
