from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert found.p == pytest.approx(2 / 4001)


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
def test_bootstrap_mean_holds_the_mean_within_the_range(values):
    low, high, p = bootstrap_mean(values, [0] * len(values), resamples=50)
    assert min(values) - 1e-12 <= low <= np.mean(values) <= high <= max(values) + 1e-12
    assert 0 < p <= 1


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
