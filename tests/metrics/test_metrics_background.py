from __future__ import annotations

import pandas as pd
import pytest
from metrics_support import CONTEXT, GROUPS, find, predictions, tables

from ifambench.metrics.background import background_rows
from ifambench.metrics.uncertainty import bonett_price, wilson

A, B = GROUPS[:2]
VARIANTS = {
    "original": {A: [0, 0, 0, 1], B: [0, 1, 2, 2]},
    "mixed_same": {A: [0, 0, 1, 1], B: [0, 0, 2, 1]},
    "mixed_rand": {A: [0, 1, 1, 1], B: [1, 0, 0, 1]},
    "only_bg": {A: [1, 1, 1, 1], B: [0, 1, 1, 1]},
}


def score(*names, variants=VARIANTS):
    frames = [predictions(variants[name], variant=name) for name in names]
    return background_rows(tables(pd.concat(frames)), CONTEXT)


def test_accuracy_per_variant_and_group():
    rows = score(*VARIANTS)
    assert find(rows, "variant_accuracy", variant="only_bg", group="all").value == 1 / 8
    assert find(rows, "variant_accuracy", variant="mixed_same", group=B).value == 2 / 4
    empty = find(rows, "variant_accuracy", variant="original", group=GROUPS[2])
    assert (empty.value, empty.n, empty.reason) == (None, 0, "no image")


def test_gap_is_the_paired_difference_positive_when_worse():
    row = find(score(*VARIANTS), "bg_gap")
    # right on mixed_same: 4 of 8; on mixed_rand: 3 of 8; only same: A1, B0; only rand: B2
    assert (row.value, row.n) == (1 / 8, 8)
    assert (row.ci_low, row.ci_high) == bonett_price(1, 2, 8)
    assert row.higher_is_better is False


def test_gap_uses_the_images_of_both_variants_only():
    short = VARIANTS | {"mixed_rand": {A: [1, 1]}}
    row = find(score(*VARIANTS, variants=short), "bg_gap")
    assert (row.value, row.n) == (1.0, 2)


def test_gap_without_a_variant_is_undefined_with_a_reason():
    row = find(score("original", "mixed_same"), "bg_gap")
    assert row.value is None
    assert row.reason == "variants not evaluated: mixed_rand"


def test_gap_without_a_common_image_is_that_of_two_samples():
    apart = {"mixed_same": {A: [0, 0, 1]}, "mixed_rand": {B: [0, 1, 1, 1]}}
    rows = score("mixed_same", "mixed_rand", variants=apart)
    row = find(rows, "bg_gap")
    assert row.value == pytest.approx(2 / 3 - 1 / 4)
    assert (row.n, row.ci_method) == (7, "newcombe")
    assert (row.ci_low, row.ci_high) == newcombe(2, 3, 1, 4)
    assert "both variants" in find(rows, "flip_rate").reason
    assert not [row for row in rows if row.metric.startswith("bg_flip")]


def newcombe(a, m, b, n):
    """Method 10 of Newcombe (1998), written out."""
    (p, q), (l1, u1), (l2, u2) = (a / m, b / n), wilson(a, m), wilson(b, n)
    low = p - q - ((p - l1) ** 2 + (u2 - q) ** 2) ** 0.5
    high = p - q + ((u1 - p) ** 2 + (q - l2) ** 2) ** 0.5
    return pytest.approx(low), pytest.approx(high)


def test_newcombe_gives_the_published_example():
    """Newcombe (1998), table II, 56/70 and 48/80: 0.0524 to 0.3339."""
    low, high = newcombe(56, 70, 48, 80)
    assert (round(low.expected, 4), round(high.expected, 4)) == (0.0524, 0.3339)


def test_the_gap_is_the_difference_of_its_flips():
    rows = score(*VARIANTS)
    lost, won = (find(rows, name) for name in ("bg_flip_rate", "bg_flip_back_rate"))
    assert (lost.value, won.value, lost.n) == (2 / 8, 1 / 8, 8)
    assert find(rows, "bg_gap").value == lost.value - won.value


def test_flips_count_changes_between_wrong_classes_too():
    rows = score(*VARIANTS)
    # original -> mixed_same: A2 0>1, B1 1>0, B3 2>1
    assert find(rows, "flip_rate", variant="mixed_same").value == 3 / 8
    # right before: A0 A1 A2 B0, of which A2 is lost
    lost = find(rows, "flip_rate_from_correct", variant="mixed_same")
    assert (lost.value, lost.n) == (1 / 4, 4)
    # mixed_same -> mixed_rand: A1 0>1, B0 0>1, B2 2>0
    assert find(rows, "flip_rate", variant="mixed_same->mixed_rand").value == 3 / 8
    variants = {row.variant for row in rows if row.metric == "flip_rate"}
    assert variants == {"mixed_same", "mixed_rand", "mixed_same->mixed_rand"}


def test_flips_from_correct_need_an_image_that_was_right():
    wrong = VARIANTS | {"original": {A: [1] * 4, B: [1] * 4}}
    row = find(score(*VARIANTS, variants=wrong), "flip_rate_from_correct", variant="mixed_same")
    assert row.value is None
    assert "right before" in row.reason


def test_unchanged_predictions_never_flip():
    same = dict.fromkeys(VARIANTS, VARIANTS["original"])
    rows = score(*VARIANTS, variants=same)
    assert {row.value for row in rows if row.metric.startswith("flip_rate")} == {0.0}
    assert find(rows, "bg_gap").value == pytest.approx(0)
