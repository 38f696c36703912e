from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from metrics_support import CONTEXT, GROUPS, explanations, find, rates, tables

from ifambench.metrics.complexity import complexity_rows, entropy, gini

PREDICTIONS = rates(dict.fromkeys(GROUPS, (1, 2)))


def test_gini_is_the_mean_difference_over_twice_the_mean():
    relevance = np.random.default_rng(0).normal(size=(5, 3, 4))
    values = np.abs(relevance.reshape(5, 12))
    differences = np.abs(values[:, :, None] - values[:, None]).mean((1, 2))
    np.testing.assert_allclose(gini(relevance), differences / (2 * values.mean(1)), rtol=1e-12)


def test_closed_forms():
    uniform = np.full((1, 4, 4), -0.1, dtype=np.float32)
    assert gini(uniform)[0] == pytest.approx(0, abs=1e-12)
    assert entropy(uniform)[0] == pytest.approx(np.log(16))
    one = np.zeros((1, 4, 4))
    one[0, 2, 1] = -3
    assert gini(one)[0] == pytest.approx(1 - 1 / 16)
    assert entropy(one)[0] == 0
    few = np.zeros((1, 4, 4))
    few[0, 0, :3] = 1
    assert gini(few)[0] == pytest.approx(1 - 3 / 16)
    assert entropy(few)[0] == pytest.approx(np.log(3))


def test_a_map_of_zeros_has_no_spread():
    zeros = np.zeros((1, 2, 2))
    assert np.isnan(gini(zeros)).all()
    assert np.isnan(entropy(zeros)).all()


def test_rows_are_means_per_explainer_and_group():
    frame = explanations("grad_cam", 1)
    values = np.random.default_rng(2).random(len(frame))
    frame = frame.assign(gini=values, entropy=values + 1)
    rows = complexity_rows(tables(PREDICTIONS, frame), CONTEXT)
    assert find(rows, "gini", group="all").value == pytest.approx(values.mean())
    row = find(rows, "relevance_entropy", group=GROUPS[1])
    assert row.value == pytest.approx(1 + values[frame["group"] == GROUPS[1]].mean())
    assert (row.unit, row.n) == ("nats", 6)


def test_undefined_maps_are_left_out():
    frame = explanations("grad_cam", 1).assign(gini=np.nan, entropy=np.nan)
    row = find(complexity_rows(tables(PREDICTIONS, frame), CONTEXT), "gini", group="all")
    assert (row.value, row.n) == (None, 0)
    assert "zeros" in row.reason


def test_tables_without_the_columns_give_no_rows():
    frame = pd.concat([explanations("grad_cam", 1), explanations("random", 2)])
    assert complexity_rows(tables(PREDICTIONS, frame), CONTEXT) == []
    assert complexity_rows(tables(PREDICTIONS), CONTEXT) == []
