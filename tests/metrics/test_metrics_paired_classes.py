from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from full_tables import RICH, rich_predictions
from metrics_support import GROUPS
from sklearn.metrics import roc_auc_score

from ifambench.metrics.paired import pair_images
from ifambench.metrics.paired_classes import auroc_rows, class_rows


@pytest.fixture(scope="module")
def sides():
    """The same images under two models."""
    a, b = (rich_predictions(seed, per_group=40).query("variant == 'original'") for seed in (0, 1))
    return a, b


def area(frame):
    return roc_auc_score(frame["y"], np.where(frame["y"] == 1, frame["margin"], -frame["margin"]))


def test_classes_and_minority_groups(sides):
    rows = {row.metric: row for row in class_rows(pair_images(*sides, RICH), RICH)}
    assert set(rows) == {"worst_class_accuracy", "class_mean_accuracy", "minority_worst_accuracy"}
    for number, side in zip("ab", sides, strict=True):
        right = side["y_pred"] == side["y"]
        by_class, by_group = (right.groupby(side[key]).mean() for key in ("y", "group"))
        expected = {
            "worst_class_accuracy": by_class.min(),
            "class_mean_accuracy": by_class.mean(),
            "minority_worst_accuracy": by_group[list(RICH.minority)].min(),
        }
        assert {name: getattr(row, number) for name, row in rows.items()} == pytest.approx(expected)
    assert set(rows["worst_class_accuracy"].group.split(" / ")) <= {"land", "water"}


def test_minority_groups_without_an_image_give_no_row(sides):
    kept = [side[side["group"] != RICH.minority[0]] for side in sides]
    names = {row.metric for row in class_rows(pair_images(*kept, RICH), RICH)}
    assert "minority_worst_accuracy" not in names


def test_areas_are_paired_by_delong(sides):
    context = replace(RICH, metrics={"auroc": {}})
    (row,) = auroc_rows(*sides, context)
    assert (row.a, row.b) == pytest.approx((area(sides[0]), area(sides[1])))
    rng = np.random.default_rng(0)
    truth = sides[0]["y"].to_numpy()
    ones, zeros = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    draws = []
    for _ in range(400):
        picks = np.concatenate([rng.choice(part, part.size) for part in (ones, zeros)])
        draws.append(area(sides[1].iloc[picks]) - area(sides[0].iloc[picks]))
    width = (row.ci_high - row.ci_low) / (2 * 1.96)
    assert width == pytest.approx(np.std(draws, ddof=1), rel=0.15)
    assert row.ci_low < row.delta < row.ci_high


def test_a_run_does_not_differ_from_itself(sides):
    for row in auroc_rows(sides[0], sides[0], RICH):
        assert (row.delta, row.ci_low, row.ci_high, row.p) == (0, 0, 0, 1)


def test_an_area_needs_two_images_of_each_side(sides):
    kept = [side[side["group"].isin(GROUPS[:2])] for side in sides]
    (row,) = auroc_rows(*kept, replace(RICH, metrics={"auroc": {}}))
    assert (row.delta, row.p) == (None, None)
