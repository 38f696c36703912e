from __future__ import annotations

import csv
import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifambench.data.swap.pairing import (
    ANY,
    SWAPS,
    Item,
    backgrounds,
    pair,
    pairing_text,
)
from ifambench.data.swap.shapes import Box
from ifambench.suites.variant import SwapVariant

SIDE = 32


def variant(swap, **fields):
    return SwapVariant.model_validate(
        {"id": swap, "kind": "background_swap", "swap": swap} | fields
    )


def items_of(values):
    return {
        Item(f"i{k}", value, f"class{value}", f"place{value}"): Box(4, 14, 6, 20)
        for k, value in enumerate(values)
    }


def paired(swap, values, n_values, **fields):
    objects = items_of(values)
    return pair(variant(swap, **fields), objects, backgrounds(objects, n_values), SIDE)


value_lists = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@given(value_lists, st.integers(0, 9))
def test_mixed_same_has_the_same_value_and_never_the_own_image(values, seed):
    pairs, left = paired("mixed_same", values, 4, seed=seed)
    counts = Counter(values)
    for row in pairs:
        assert row.fg_class == row.bg_class
        assert row.fg_id != row.bg_id
    alone = {f"i{k}" for k, value in enumerate(values) if counts[value] < 2}
    assert set(left) == alone
    assert {row.fg_id for row in pairs} | alone == {f"i{k}" for k in range(len(values))}


@given(value_lists, st.integers(0, 9))
def test_mixed_next_is_the_next_value_modulo_their_number(values, seed):
    pairs, left = paired("mixed_next", values, 4, seed=seed)
    by_id = {f"i{k}": value for k, value in enumerate(values)}
    for row in pairs:
        assert by_id[row.bg_id] == (by_id[row.fg_id] + 1) % 4
    assert set(left) == {name for name, v in by_id.items() if (v + 1) % 4 not in values}


@given(value_lists, st.integers(0, 9))
def test_mixed_other_is_another_value(values, seed):
    pairs, left = paired("mixed_other", values, 4, seed=seed)
    assert all(row.fg_class != row.bg_class for row in pairs)
    assert bool(left) == (len(set(values)) == 1)


@given(value_lists, st.randoms(use_true_random=False), st.sampled_from(SWAPS))
def test_the_order_of_the_rows_changes_nothing(values, random, swap):
    objects = items_of(values)
    shuffled = list(objects.items())
    random.shuffle(shuffled)
    settings_ = variant(swap, placement="random")
    first = pair(settings_, objects, backgrounds(objects, 4), SIDE)
    again = pair(settings_, dict(shuffled), backgrounds(dict(shuffled), 4), SIDE)
    assert first == again


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_two_values_make_next_and_other_the_same_set(seed):
    values = [0] * 5 + [1] * 3
    for swap in ("mixed_next", "mixed_other"):
        pairs, left = paired(swap, values, 2, seed=seed)
        assert not left
        assert all(row.fg_class != row.bg_class for row in pairs)


def test_mixed_rand_is_balanced_over_values_though_images_are_not():
    values = [0] * 900 + [1] * 60 + [2] * 40
    pairs, left = paired("mixed_rand", values, 3)
    shares = Counter(row.bg_class for row in pairs)
    assert not left
    for value in range(3):  # 1000 draws of 1/3 have a standard deviation of 15
        assert abs(shares[f"class{value}"] - 1000 / 3) < 75
    assert all(row.fg_id != row.bg_id for row in pairs)


def test_all_backgrounds_of_a_value_are_drawn():
    pairs, _ = paired("mixed_same", [0] * 6, 1, seed=3)
    drawn = {
        row.bg_id for seed in range(30) for row in paired("mixed_same", [0] * 6, 1, seed=seed)[0]
    }
    assert drawn == {f"i{k}" for k in range(6)}
    assert len(pairs) == 6


def test_another_seed_gives_another_table_and_the_same_seed_the_same():
    values = [0, 1] * 20
    first, again, other = (paired("mixed_rand", values, 2, seed=s)[0] for s in (0, 0, 1))
    assert pairing_text(first) == pairing_text(again) != pairing_text(other)


@pytest.mark.parametrize("swap", SWAPS)
def test_the_placement_does_not_change_the_backgrounds(swap):
    values = [0, 1, 2] * 5
    kept, _ = paired(swap, values, 3)
    drawn, _ = paired(swap, values, 3, placement="random")
    assert [row.bg_id for row in kept] == [row.bg_id for row in drawn]
    assert all(row.dx == row.dy == 0 for row in kept)


@pytest.mark.parametrize(("placement", "wanted"), [("center", (9 - 6, 11 - 4)), ("keep", (0, 0))])
def test_an_object_is_moved_as_a_whole(placement, wanted):
    pairs, _ = paired("only_fg", [0, 0], 1, placement=placement)
    assert [(row.dx, row.dy) for row in pairs] == [wanted] * 2


def test_a_random_place_is_inside_the_image():
    pairs, _ = paired("only_fg", [0] * 200, 1, placement="random")
    assert {row.dx + 6 for row in pairs} <= set(range(SIDE - 14 + 1))
    assert {row.dy + 4 for row in pairs} <= set(range(SIDE - 10 + 1))
    assert len({row.dx for row in pairs}) > 12


def test_the_table_is_csv_with_the_promised_columns():
    pairs, _ = paired("mixed_next", [0, 1], 2, seed=5)
    rows = list(csv.DictReader(io.StringIO(pairing_text(pairs))))
    assert list(rows[0]) == [
        *("fg_id", "fg_class", "variant", "seed", "bg_id", "bg_class", "bg_attr"),
        *("flip", "scale", "dx", "dy"),
    ]
    assert rows[0] == {
        **{"fg_id": "i0", "fg_class": "class0", "variant": "mixed_next", "seed": "5"},
        **{"bg_id": "i1", "bg_class": "class1", "bg_attr": "place1"},
        **{"flip": "0", "scale": "1", "dx": "0", "dy": "0"},
    }


def test_a_pool_without_categories_serves_everyone():
    objects = items_of([0, 1, 2])
    pool = backgrounds([Item(f"pool:{k}.jpg", ANY) for k in range(4)], 3)
    pairs, left = pair(variant("mixed_rand", fill="external", pool="p"), objects, pool, SIDE)
    assert not left
    assert all(row.bg_id.startswith("pool:") for row in pairs)
    assert not pool.has_categories


def test_a_background_alone_is_of_the_own_category_of_a_pool():
    objects = items_of([0, 1, 0])
    pool = backgrounds([Item(f"pool:{k}.jpg", k % 2, f"class{k % 2}") for k in range(6)], 2)
    pairs, _ = pair(variant("only_bg_t", fill="external", pool="p"), objects, pool, SIDE)
    assert all(row.bg_class == row.fg_class for row in pairs)
