from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from metrics_support import CONTEXT, GROUPS, explanations, find, rates, tables

from ifambench.metrics.sufficiency import METRICS, sufficiency_rows

PREDICTIONS = rates(dict.fromkeys(GROUPS, (1, 2)))


def score(*frames):
    return sufficiency_rows(tables(PREDICTIONS, pd.concat(frames)), CONTEXT)


def test_rows_are_means_per_explainer_and_group():
    frame = explanations("grad-cam", 1)
    values = np.random.default_rng(0).random(len(frame))
    rows = score(frame.assign(comprehensiveness=values, sufficiency=1 - values))
    assert find(rows, "comprehensiveness", group="all").value == pytest.approx(values.mean())
    part = values[frame["group"] == GROUPS[3]]
    row = find(rows, "sufficiency", group=GROUPS[3])
    assert (row.value, row.n) == (pytest.approx(1 - part.mean()), 6)


def test_losing_little_with_only_the_evidence_is_better():
    assert METRICS["comprehensiveness"]["higher_is_better"] is True
    assert METRICS["sufficiency"]["higher_is_better"] is False
    assert METRICS["suff_mask"]["higher_is_better"] is False


def test_only_selections_have_the_scores_of_a_selection():
    columns = {"comprehensiveness": 0.5, "sufficiency": 0.1}
    mask = explanations("ifam-mask", 1, **columns, comp_mask=0.4, suff_mask=0.2)
    other = explanations("grad-cam", 2, **columns, comp_mask=np.nan, suff_mask=np.nan)
    rows = score(mask, other)
    assert {row.explainer for row in rows if row.metric.endswith("_mask")} == {"ifam-mask"}
    assert find(rows, "comp_mask", group="all").value == pytest.approx(0.4)


def test_tables_without_the_columns_give_no_rows():
    assert score(explanations("grad-cam", 1)) == []
    assert sufficiency_rows(tables(PREDICTIONS), CONTEXT) == []
