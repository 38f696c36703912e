from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifambench.data.holdout import amount, drawn_ids, hold_out
from ifambench.suites.source_base import Holdout

LABELS = ["cat", "dog"]


def table(n=40, seed=0):
    order = np.random.default_rng(seed).permutation(n)
    return pd.DataFrame(
        {
            "id": [f"i{k:03d}" for k in order],
            "split": "train",
            "y": [k % 2 for k in order],
            "a_place": [("land", "water")[k // 2 % 2] for k in order],
        }
    )


def rule(**values):
    return Holdout(**({"split": "val", "of": "train"} | values))


def drawn(rows, *rules):
    found = hold_out(rows, LABELS, rules)
    return {split: set(part["id"]) for split, part in found.groupby("split")}


@given(st.integers(0, 100), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_rows_changes_nothing(order, seed):
    chosen = rule(share=0.3, seed=seed, by=["y", "place"])
    assert drawn(table(seed=order), chosen) == drawn(table(seed=0), chosen)


def test_other_seeds_and_splits_draw_others():
    found = [drawn(table(200), rule(share=0.3, seed=k))["val"] for k in range(3)]
    assert found[0] != found[1] != found[2]
    test = drawn(table(200), rule(split="test", share=0.3, seed=0))["test"]
    assert test != found[0]


def test_each_cell_gives_its_share():
    found = hold_out(table(), LABELS, [rule(share=0.2, by=["y", "place"])])
    cells = found[found["split"] == "val"].groupby(["y", "a_place"]).size()
    assert cells.tolist() == [2, 2, 2, 2]
    found = hold_out(table(), LABELS, [rule(per_cell=3)])
    assert found[found["split"] == "val"].groupby("y").size().tolist() == [3, 3]


def test_a_cell_does_not_depend_on_the_others():
    rows = table()
    both = drawn(rows, rule(share=0.4))["val"]
    cats = drawn(rows[rows["y"] == 0], rule(share=0.4))["val"]
    assert cats == both & set(rows.loc[rows["y"] == 0, "id"])


def test_rules_are_applied_in_their_order():
    found = drawn(table(), rule(split="test", per_cell=5), rule(per_cell=4))
    assert {name: len(ids) for name, ids in found.items()} == {"test": 10, "val": 8, "train": 22}
    assert not found["test"] & found["val"]


@pytest.mark.parametrize(
    ("values", "n", "number"),
    [
        ({"share": 0.15}, 235, 35),
        ({"share": 0.15}, 306, 46),
        ({"share": 0.25}, 2, 1),
        ({"share": 0.25}, 10, 3),
        ({"share": 0.01}, 10, 1),
        ({"share": 0.9}, 10, 5),
        ({"share": 0.5}, 1, 0),
        ({"per_cell": 50}, 75, 37),
        ({"per_cell": 50}, 1000, 50),
    ],
)
def test_amounts(values, n, number):
    assert amount(rule(**values), n) == number
    ids = [f"{k}" for k in range(n)]
    assert len(drawn_ids({("cat",): ids}, rule(**values))) == number


def test_the_draw_is_the_published_one():
    """Whoever draws the split again gets these images."""
    ids = [f"{k:02d}" for k in range(10)]
    assert sorted(drawn_ids({("cat",): ids}, rule(share=0.3, seed=5))) == ["00", "06", "07"]
