from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ifambench.metrics.base import ScoreContext
from ifambench.metrics.paired_swaps import swap_rows
from ifambench.metrics.uncertainty import bonett_price, mcnemar

CONTEXT = ScoreContext(groups=("land", "water"), resamples=500)
N = 60


def predictions(seed, rates):
    """Each variant right with its own rate, in both groups."""
    rng = np.random.default_rng(seed)
    frames = []
    for variant, rate in rates.items():
        right = rng.random(2 * N) < rate
        ids = [f"{index:03d}" for index in range(2 * N)]
        frames.append(
            pd.DataFrame({"id": ids, "split": "test", "variant": variant, "y": 0, "y_pred": ~right})
            .astype({"y_pred": int})
            .assign(group=np.repeat(["land", "water"], N))
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def sides():
    rates = {"original": 0.9, "mixed_same": 0.9, "mixed_rand": 0.4}
    return predictions(0, rates), predictions(1, rates | {"mixed_rand": 0.85})


@pytest.fixture(scope="module")
def rows(sides):
    return {(row.metric, row.variant): row for row in swap_rows(*sides, CONTEXT)}


def correct(side, variant):
    part = side[side["variant"] == variant].set_index("id")
    return (part["y"] == part["y_pred"]).sort_index()


def test_background_flips_are_a_table_of_pairs(sides, rows):
    lost = [correct(side, "mixed_same") & ~correct(side, "mixed_rand") for side in sides]
    only_a, only_b = int((lost[0] & ~lost[1]).sum()), int((lost[1] & ~lost[0]).sum())
    row = rows["bg_flip_rate", "mixed_same-mixed_rand"]
    assert (row.a, row.b) == pytest.approx((lost[0].mean(), lost[1].mean()))
    assert (row.ci_low, row.ci_high) == bonett_price(only_a, only_b, 2 * N)
    assert row.p == mcnemar(only_a, only_b)


def test_flip_rates_have_a_row_for_each_swap(rows):
    swaps = {variant for metric, variant in rows if metric == "flip_rate"}
    assert swaps == {"mixed_same", "mixed_rand", "mixed_same->mixed_rand"}


def test_the_gap_is_the_difference_of_two_flip_rates(rows):
    gap, out, back = (
        rows[name, "mixed_same-mixed_rand"]
        for name in ("bg_gap", "bg_flip_rate", "bg_flip_back_rate")
    )
    assert gap.a == pytest.approx(out.a - back.a)
    assert gap.delta == pytest.approx(out.delta - back.delta)


def test_lost_images_are_a_share_of_those_that_were_right(sides, rows):
    row = rows["flip_rate_from_correct", "mixed_rand"]
    expected = []
    for side in sides:
        before, after = correct(side, "original"), correct(side, "mixed_rand")
        expected.append(1 - after[before].mean())
    assert (row.a, row.b) == pytest.approx(tuple(expected))
    assert row.ci_low < row.delta < row.ci_high < 0
    assert row.n == (correct(sides[0], "original") | correct(sides[1], "original")).sum()


def test_equal_runs_do_not_differ(sides):
    for row in swap_rows(sides[0], sides[0], CONTEXT):
        assert row.delta == 0
        assert row.ci_low <= 0 <= row.ci_high


def test_variants_that_only_one_run_has_give_no_row(sides):
    fewer = sides[1][sides[1]["variant"] == "original"]
    assert swap_rows(sides[0], fewer, CONTEXT) == []


def test_nothing_right_before_leaves_the_share_undefined(sides):
    wrong = sides[0].assign(y_pred=1)
    rows = {(row.metric, row.variant): row for row in swap_rows(sides[1], wrong, CONTEXT)}
    assert rows["flip_rate_from_correct", "mixed_rand"].delta is None
