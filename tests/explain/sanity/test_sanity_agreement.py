import numpy as np
import pytest
from scipy import stats

from ifambench.explain.sanity.agreement import pearson, spearman

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e30])
def test_correlations_are_those_of_scipy(scale: float) -> None:
    one, two = RNG.normal(size=(2, 5, 3, 4))
    one[:, 0] = one[:, 1]  # ties
    for k in range(5):
        pair = one[k].ravel(), two[k].ravel()
        expected = stats.pearsonr(*pair).statistic, stats.spearmanr(*pair).statistic
        assert pearson(scale * one, two)[k] == pytest.approx(expected[0], abs=1e-12)
        assert spearman(scale * one, two)[k] == pytest.approx(expected[1], abs=1e-12)


def test_a_constant_map_agrees_with_nothing() -> None:
    varied = RNG.normal(size=(3, 4))
    one = varied.copy()
    one[1] = 0.1  # the mean of equal values need not be that value, to the last bit
    for found in (pearson(one, varied), pearson(varied, one), spearman(one, varied)):
        assert np.isnan(found).tolist() == [False, True, False]


def test_sign_counts() -> None:
    one = RNG.normal(size=(2, 6))
    np.testing.assert_allclose(spearman(one, -one), -1)
    np.testing.assert_allclose(pearson(one, 3 * one + 2), 1)


def test_one_patch_has_no_correlation() -> None:
    assert np.isnan(spearman(np.ones((2, 1, 1)), np.ones((2, 1, 1)))).all()
