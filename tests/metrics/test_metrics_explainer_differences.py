from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from metrics_support import CONTEXT, GROUPS, explanations, rates, tables

from ifambench.metrics.explainer_differences import (
    COLUMNS,
    default_reference,
    explainer_differences,
)
from ifambench.metrics.resampling import bootstrap_mean

PREDICTIONS = rates(dict.fromkeys(GROUPS, (1, 2)))


def compared(*frames, reference="grad-cam", metric="srg"):
    found = explainer_differences(
        tables(PREDICTIONS, pd.concat(frames)), CONTEXT, reference, metric
    )
    assert list(found.columns) == list(COLUMNS)
    return found


def test_differences_are_paired_by_image_whatever_the_order_of_the_rows():
    frame, other = explanations("ifam-mask", 1), explanations("grad-cam", 2)
    found = compared(frame, other.sample(frac=1, random_state=0)).set_index("group")
    difference = frame["srg"] - other["srg"]
    row = found.loc["all"]
    assert row["difference"] == pytest.approx(difference.mean())
    expected = bootstrap_mean(difference, frame["group"], CONTEXT.resamples, CONTEXT.seed)
    assert (row["ci_low"], row["ci_high"], row["p"]) == pytest.approx(expected)
    assert (row["n"], row["ci_method"]) == (24, "expanded_bootstrap_200")
    assert (row["explainer"], row["reference"]) == ("ifam-mask", "grad-cam")
    part = difference[frame["group"] == GROUPS[2]]
    assert found.loc[GROUPS[2], "difference"] == pytest.approx(part.mean())
    assert found.loc[GROUPS[2], "n"] == 6


def test_one_image_has_no_interval():
    frame, other = explanations("ifam-mask", 1), explanations("grad-cam", 2)
    row = compared(frame.iloc[:1], other).iloc[0]
    assert row["n"] == 1
    assert row[["ci_low", "ci_high", "ci_method"]].isna().all()
    assert row["p"] == 1


def test_a_constant_shift_has_an_interval_of_width_zero():
    other = explanations("grad-cam", 2)
    frame = other.assign(explainer="ifam-mask", srg=other["srg"] + 0.25)
    row = compared(frame, other).iloc[0]
    assert (row["difference"], row["ci_low"], row["ci_high"]) == pytest.approx((0.25,) * 3)
    assert row["p"] < 0.05


def test_other_operators_have_their_own_reference():
    frames = [
        explanations("ifam-mask", 1),
        explanations("grad-cam", 2),
        explanations("ifam-mask@drop", 3, operator="drop"),
        explanations("grad-cam@drop", 4, operator="drop"),
        explanations("ifam-mask@blur", 5, operator="blur"),
    ]
    found = compared(*frames)
    pairs = set(zip(found["explainer"], found["reference"], strict=True))
    assert pairs == {("ifam-mask", "grad-cam"), ("ifam-mask@drop", "grad-cam@drop")}


def test_undefined_images_are_left_out():
    frame, other = explanations("ifam-mask", 1), explanations("grad-cam", 2)
    frame.loc[frame["group"] == GROUPS[0], "srg"] = np.nan
    found = compared(frame, other).set_index("group")
    assert found.loc["all", "n"] == 18
    assert GROUPS[0] not in found.index


def test_a_metric_is_found_by_its_column():
    frame = explanations("ifam-mask", 1).assign(pointing=1.0)
    other = explanations("grad-cam", 2).assign(pointing=0.25)
    found = compared(frame, other, metric="pointing_game")
    assert found["difference"].tolist() == [0.75] * 5


def test_what_was_not_measured_is_not_compared():
    frame, other = explanations("ifam-mask", 1), explanations("grad-cam", 2)
    assert compared(frame, other, reference="rise").empty
    assert compared(frame, other, metric="pointing_game").empty
    nothing = explainer_differences(tables(PREDICTIONS), CONTEXT, "grad-cam", "srg")
    assert nothing.empty


def test_the_reference_is_fixed_beforehand():
    assert default_reference(["random", "grad-cam", "attention-rollout"]) == "grad-cam"
    assert default_reference(["attention-rollout"]) == "attention-rollout"
    assert default_reference(["random", "grad-cam@drop"]) is None
