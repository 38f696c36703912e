from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from metrics_support import CONTEXT, GROUPS, find, rates

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.base import Tables
from ifambench.metrics.resampling import bootstrap_mean
from ifambench.metrics.sanity import COLUMNS, METRICS, sanity_rows
from ifambench.metrics.score import score_tables

PREDICTIONS = rates(dict.fromkeys(GROUPS, (2, 3)))
IDS = list(PREDICTIONS["id"])
RNG = np.random.default_rng(0)


def table(check: str, explainer: str = "grad-cam", values=None) -> pd.DataFrame:
    values = RNG.uniform(-1, 1, len(IDS)) if values is None else values
    parts = {"id": IDS, "group": list(PREDICTIONS["group"]), "explainer": explainer}
    return pd.DataFrame(parts | {"check": check, "value": values})[list(COLUMNS)]


def score(*frames: pd.DataFrame):
    return sanity_rows(Tables(PREDICTIONS, pd.DataFrame(), pd.concat(frames)), CONTEXT)


def test_a_value_is_the_mean_over_the_images_with_its_interval():
    frame = table("stability")
    (row,) = score(frame)
    assert row.value == pytest.approx(frame["value"].mean())
    ordered = frame.sort_values("id")
    low, high, _ = bootstrap_mean(ordered["value"], ordered["group"], CONTEXT.resamples, 0)
    assert (row.ci_low, row.ci_high) == (low, high)
    assert (row.metric, row.group, row.explainer, row.n) == ("stability", "all", "grad-cam", 12)
    assert (row.variant, row.reason) == ("original", None)


def test_each_depth_is_a_variant_of_one_metric():
    depths = ("head", "cascading:3", "all")
    frames = {depth: table(f"randomisation_similarity:{depth}") for depth in depths}
    rows = score(*frames.values())
    assert {row.variant for row in rows} == set(depths)
    for depth, frame in frames.items():
        row = find(rows, "randomisation_similarity", variant=depth)
        assert row.value == pytest.approx(frame["value"].mean())


def test_undefined_values_are_left_out_and_counted():
    values = np.array([np.nan] * 4 + [0.5] * 8)
    (row,) = score(table("faithfulness_correlation", values=values))
    assert (row.value, row.n, row.reason) == (0.5, 8, "undefined for 4 of 12 images")
    (row,) = score(table("faithfulness_correlation", values=np.nan))
    assert (row.value, row.n, row.reason) == (None, 0, "no image with a defined value")


def test_every_explainer_has_its_rows():
    rows = score(table("infidelity", "b"), table("infidelity", "a"), table("stability", "a"))
    assert [(row.metric, row.explainer) for row in rows] == [
        ("infidelity", "a"),
        ("infidelity", "b"),
        ("stability", "a"),
    ]


def test_the_order_of_the_table_does_not_matter():
    frame = pd.concat([table("stability"), table("infidelity")])
    assert score(frame) == score(frame.sample(frac=1, random_state=0))


@pytest.mark.parametrize("sanity", [None, pd.DataFrame(columns=list(COLUMNS))])
def test_nothing_measured_gives_no_rows(sanity):
    assert sanity_rows(Tables(PREDICTIONS, pd.DataFrame(), sanity), CONTEXT) == []


def test_the_catalogue_runs_it():
    frame = pd.concat([table(name) for name in METRICS])
    found = score_tables(Tables(PREDICTIONS, pd.DataFrame(), frame), CONTEXT)
    assert {row.metric for row in found} >= set(METRICS)


def test_a_check_of_a_later_version_is_left_out():
    assert [row.metric for row in score(table("stability"), table("telepathy"))] == ["stability"]


def test_an_image_twice_is_damage():
    with pytest.raises(EnvironmentProblem, match="more than once"):
        score(table("stability"), table("stability"))


def test_smoke_tests_rank_nothing():
    """What is near 1 for a map that ignores the model must have no better end."""
    blind = {name for name in METRICS if "similarity" in name} | {"stability", "max_sensitivity"}
    assert {name for name in METRICS if METRICS[name]["higher_is_better"] is None} == blind
    for name in ("randomisation_similarity", "random_logit_similarity"):
        assert "no ranking" in METRICS[name]["summary"]
