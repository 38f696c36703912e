from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from metrics_support import CONTEXT, GROUPS, find, predictions, tables

from ifambench.metrics.swaps import swap_rows
from ifambench.metrics.uncertainty import bonett_price, wilson

A, B = GROUPS[0], GROUPS[3]
LABELS = ("cat", "dog", "fish")
CLASSES = [0, 0, 1, 2]


def frame(variant, predicted):
    """Four images of the classes 0, 0, 1, 2."""
    return predictions({A: predicted}, variant=variant).assign(y=CLASSES)


def score(context=CONTEXT, **variants):
    found = [frame(name.replace("challenge_", "challenge."), y) for name, y in variants.items()]
    return swap_rows(tables(pd.concat(found)), replace(context, labels=LABELS))


def test_foreground_only_drop_is_paired():
    row = find(score(original=[0, 0, 1, 2], only_fg=[0, 1, 0, 2]), "fg_only_drop")
    assert (row.value, row.n, row.variant) == (0.5, 4, "original-only_fg")
    assert (row.ci_low, row.ci_high) == bonett_price(0, 2, 4)


@pytest.mark.parametrize("variant", ["only_bg_t", "only_bg_b", "only_bg"])
def test_background_signal_is_over_the_largest_class(variant):
    row = find(score(**{variant: [0, 0, 1, 0]}), "bg_signal")
    assert (row.value, row.variant) == (3 / 4 - 2 / 4, variant)
    low, high = wilson(3, 4)
    assert (row.ci_low, row.ci_high) == (low - 0.5, high - 0.5)


def test_mixed_rand_accuracy_is_the_accuracy_on_that_variant():
    row = find(score(original=[0, 0, 1, 2], mixed_rand=[0, 1, 1, 3]), "mixed_rand_accuracy")
    assert (row.value, row.n, row.variant) == (2 / 4, 4, "mixed_rand")
    assert (row.ci_low, row.ci_high) == wilson(2, 4)
    assert row.higher_is_better


def test_shape_leak():
    row = find(score(no_fg=[0, 0, 1, 1], only_bg_b=[0, 1, 0, 0]), "shape_leak")
    assert row.value == 3 / 4 - 1 / 4


def test_fooled_by_background_and_what_is_over_the_habit():
    # after 0, 0, 1, 2 come 1, 1, 2, 0
    rows = score(mixed_next=[1, 1, 2, 2], mixed_same=[1, 0, 1, 2])
    share, excess = (find(rows, f"fooled_by_background{end}") for end in ("", "_excess"))
    assert (share.value, share.n, share.variant) == (3 / 4, 4, "mixed_next")
    assert (share.ci_low, share.ci_high) == wilson(3, 4)
    assert excess.value == 3 / 4 - 1 / 4
    assert (excess.ci_low, excess.ci_high) == bonett_price(0, 2, 4)


def test_next_of_the_last_label_is_the_first_even_where_it_is_not_evaluated():
    only = frame("mixed_next", [0, 0, 1, 2]).assign(y=[1, 1, 1, 1], y_pred=[2, 0, 1, 1])
    rows = swap_rows(tables(only), replace(CONTEXT, labels=LABELS))
    assert find(rows, "fooled_by_background").value == 1 / 4


def test_backgrounds_chosen_by_an_attribute_are_of_no_class():
    context = replace(CONTEXT, pair_by={"mixed_next": "attribute:place"})
    assert score(context, mixed_next=[1, 1, 2, 2], mixed_same=[1, 0, 1, 2]) == []


def test_challenge_accuracy_needs_every_background():
    rows = score(challenge_0=[0, 0, 1, 0], challenge_1=[0, 1, 1, 2], challenge_2=[0, 0, 1, 2])
    row = find(rows, "challenge_accuracy")
    assert (row.value, row.n, row.variant) == (2 / 4, 4, "challenge@3")
    assert (row.ci_low, row.ci_high) == wilson(2, 4)


def test_challenge_accuracy_is_over_foregrounds_on_all_backgrounds():
    short = frame("challenge.1", [0, 0, 1, 2]).iloc[:3]
    rows = swap_rows(tables(pd.concat([frame("challenge.0", [0, 1, 1, 2]), short])), CONTEXT)
    row = find(rows, "challenge_accuracy")
    assert (row.value, row.n) == (2 / 3, 3)
    apart = short.assign(id=["x", "y", "z"])
    rows = swap_rows(tables(pd.concat([frame("challenge.0", [0, 1, 1, 2]), apart])), CONTEXT)
    row = find(rows, "challenge_accuracy")
    assert (row.value, row.n) == (None, 0)
    assert "all challenge backgrounds" in row.reason


def test_without_its_variants_a_metric_has_no_row():
    assert score(original=[0, 0, 1, 2], mixed_same=[0, 0, 1, 2], no_fg=[0, 0, 0, 0]) == []
