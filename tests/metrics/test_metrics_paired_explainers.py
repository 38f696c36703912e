from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ifambench.metrics.base import ScoreContext, Tables
from ifambench.metrics.deletion import deletion_rows
from ifambench.metrics.paired import to_frames
from ifambench.metrics.paired_explainers import explainer_rows, other_targets
from ifambench.verdict import verdict

CONTEXT = ScoreContext(groups=("land", "water"), resamples=300)
N = 30


def table(seed, names=("grad-cam", "random"), **columns):
    rng = np.random.default_rng(seed)
    frames = []
    for name in names:
        deletion, insertion = rng.uniform(0.2, 0.5, N), rng.uniform(0.5, 0.9, N)
        frame = pd.DataFrame({"id": [f"{k:02d}" for k in range(N)], "explainer": name})
        frame = frame.assign(
            group=np.tile(CONTEXT.groups, N // 2), operator="mean", target=0, y=0, y_pred=0
        )
        frame = frame.assign(
            deletion_auc=deletion, insertion_auc=insertion, srg=insertion - deletion, srg_logit=1.0
        )
        frames.append(frame.assign(**columns))
    return pd.concat(frames, ignore_index=True)


def rows_of(a, b):
    return {(row.explainer, row.metric): row for row in explainer_rows(a, b, CONTEXT)}


def test_every_gain_is_the_difference_of_the_runs_own_gains():
    sides = table(0), table(1)
    found = rows_of(*sides)
    stored = []
    for side in sides:
        rows = deletion_rows(Tables(pd.DataFrame(), side), CONTEXT)
        stored.append(
            {
                row.metric: row.value
                for row in rows
                if row.explainer == "grad-cam" and row.group == "all"
            }
        )
    for metric in ("srg", "deletion_auc", "mrg", "lrg", "srg_over_random"):
        row = found["grad-cam", metric]
        assert (row.a, row.b) == pytest.approx((stored[0][metric], stored[1][metric])), metric
        assert row.ci_low < row.delta < row.ci_high
    assert ("random", "mrg") not in found


def test_one_common_image_has_a_difference_without_an_interval_or_a_verdict():
    one = [side[side["id"] == "03"] for side in (table(0), table(1))]
    rows = explainer_rows(*one, CONTEXT)
    row = next(row for row in rows if (row.explainer, row.metric) == ("grad-cam", "srg"))
    assert row.delta == pytest.approx(row.b - row.a)
    assert (row.n, row.ci_low, row.ci_high, row.p, row.method) == (1, None, None, None, None)
    (frame,) = to_frames([rows], {"srg": True})
    assert frame["better"].isna().all()
    assert verdict(frame, ("x", "y"), ([], []), "srg", forced=False) == (
        "srg has no interval on so few common images."
    )


def test_areas_of_logits_are_not_compared():
    assert not [key for key in rows_of(table(0), table(1)) if "logit" in key[1]]


def test_columns_of_new_tables_are_compared_where_both_have_them():
    new = {"comprehensiveness": 0.3, "pointing": 1.0, "mask_iou": np.nan}
    found = rows_of(table(0, **new), table(1, **(new | {"comprehensiveness": 0.4})))
    assert found["grad-cam", "comprehensiveness"].delta == pytest.approx(0.1)
    assert found["grad-cam", "pointing_game"].delta == 0
    assert ("grad-cam", "mask_iou") not in found
    assert ("grad-cam", "comprehensiveness") not in rows_of(table(0, **new), table(1))


def test_another_operator_is_no_pair():
    assert rows_of(table(0), table(1, operator="drop")) == {}


def test_without_the_floor_there_is_no_gain():
    found = rows_of(table(0, names=("grad-cam",)), table(1))
    assert ("grad-cam", "srg") in found
    assert ("grad-cam", "mrg") not in found


def test_images_with_another_explained_class_are_counted():
    changed = table(1)
    changed.loc[changed["id"].isin(["00", "07"]), "target"] = 1
    assert other_targets(table(0), changed) == (2, N)
    assert other_targets(table(0).drop(columns="target"), changed) == (0, 0)
