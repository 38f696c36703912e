"""The metrics that a protocol asks for: shortcuts, noise, drops; and the check of parameters."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from full_tables import ASKED, LABELS, RICH, VARIANTS, rich_predictions
from metrics_support import GROUPS, find, predictions, tables

from ifambench.errors import UsageError
from ifambench.metrics.drops import drop_rows
from ifambench.metrics.on_request import check_metrics
from ifambench.metrics.sensitivity import relative_foreground_sensitivity, sensitivity_rows
from ifambench.metrics.shortcuts import shortcut_rows
from ifambench.metrics.uncertainty import bonett_price, mover_weighted_sum

CAR, SCENE, OBJECT = ("urban", "country"), ("urban", "country"), ("urban", "country")


def urban_cars(seed=0):
    """Five images of each of the 8 groups, and the context of the published 0.95 / 0.95 suite."""
    rng = np.random.default_rng(seed)
    cells = [(y, bg, co) for y in range(2) for bg in range(2) for co in range(2)]
    names = [f"{CAR[y]}_{SCENE[bg]}_{OBJECT[co]}" for y, bg, co in cells]
    frame = pd.DataFrame(
        [
            {"id": f"{name}{k}", "group": name, "y": y, "a_bg": SCENE[bg], "a_co": OBJECT[co]}
            for name, (y, bg, co) in zip(names, cells, strict=True)
            for k in range(5)
        ]
    ).assign(split="test", variant="original")
    frame["y_pred"] = np.where(rng.random(len(frame)) < 0.7, frame["y"], 1 - frame["y"])
    share = {True: 0.95, False: 0.05}
    context = replace(
        RICH,
        groups=tuple(names),
        minority=(),
        train_shares=tuple(share[bg == y] * share[co == y] / 2 for y, bg, co in cells),
        labels=CAR,
        attributes={"bg": SCENE, "co": OBJECT},
        metrics={"shortcut_gap": {"shortcuts": ["bg", "co"]}},
    )
    return frame, context


def published_gaps(frame):
    """I.D. accuracy and gaps as the code of Whac-A-Mole: cells of (background, object) common."""
    right = (frame["y_pred"] == frame["y"]).astype(float)
    label = frame["y"].map(dict(enumerate(CAR)))
    keys = [frame["y"], frame["a_bg"] == label, frame["a_co"] == label]
    cell = right.groupby(keys).mean().groupby(level=[1, 2]).mean()
    ratio = {True: 0.95, False: 0.05}
    id_accuracy = sum(ratio[bg] * ratio[co] * value for (bg, co), value in cell.items())
    cells = {"bg": (False, True), "co": (True, False), "bg+co": (False, False)}
    return {name: cell[key] - id_accuracy for name, key in cells.items()}


@pytest.mark.parametrize("seed", range(4))
def test_shortcut_gaps_are_those_of_urbancars(seed):
    frame, context = urban_cars(seed)
    rows = shortcut_rows(tables(frame), context)
    found = {row.group: row.value for row in rows if row.metric == "shortcut_gap"}
    assert found == pytest.approx(published_gaps(frame))
    for row in rows:
        assert row.ci_low <= row.value <= row.ci_high


def test_shortcut_accuracy_is_the_mean_of_its_groups():
    frame, context = urban_cars()
    row = find(shortcut_rows(tables(frame), context), "shortcut_accuracy", group="bg+co")
    inside = [
        context.groups.index(name) for name in (CAR[0] + "_country_country", "country_urban_urban")
    ]
    weights = [0.5 if index in inside else 0 for index in range(8)]
    right = (frame["y_pred"] == frame["y"]).groupby(frame["group"]).sum()
    hits = [int(right[name]) for name in context.groups]
    assert (row.ci_low, row.ci_high) == mover_weighted_sum(weights, hits, [5] * 8)
    assert row.n == 10


def test_gaps_without_training_shares_are_undefined_but_not_the_accuracies():
    frame, context = urban_cars()
    rows = shortcut_rows(tables(frame), replace(context, train_shares=None))
    gap, own = (find(rows, f"shortcut_{end}", group="bg") for end in ("gap", "accuracy"))
    assert (gap.value, gap.reason) == (None, "no training shares")
    assert own.value is not None


def test_groups_that_mix_the_shortcuts_are_refused():
    frame, context = urban_cars()
    frame.loc[0, "a_bg"] = "country"
    rows = shortcut_rows(tables(frame), context)
    assert {row.value for row in rows} == {None}
    assert "do not tell" in rows[0].reason


def noisy(background, foreground):
    parts = {"noise_background": background, "noise_foreground": foreground}
    frames = [predictions({GROUPS[0]: y}, variant=name) for name, y in parts.items()]
    return find(
        sensitivity_rows(tables(pd.concat(frames)), RICH), "relative_foreground_sensitivity"
    )


@pytest.mark.parametrize(
    ("background", "foreground", "value"),
    [(1.0, 0.0, 1.0), (0.0, 1.0, -1.0), (0.9, 0.7, 0.5), (0.3, 0.1, 0.5), (0.6, 0.6, 0.0)],
)
def test_relative_foreground_sensitivity(background, foreground, value):
    assert relative_foreground_sensitivity(background, foreground) == pytest.approx(value)


def test_sensitivity_row_uses_the_images_of_both_variants():
    row = noisy([0, 0, 0, 1], [0, 1, 1, 1])  # 3/4 and 1/4, the mean is 1/2
    assert (row.value, row.n) == (0.5, 4)
    assert row.ci_low <= row.value <= row.ci_high


def published_sensitivity(frame, variants):
    """As the code of Hard ImageNet: class means over all draws of the noise, then the formula."""
    means = []
    for names in variants:
        part = frame[frame["variant"].isin(names)]
        right = part["y_pred"] == part["y"]
        means.append(np.mean([right[part["y"] == y].mean() for y in part["y"].unique()]))
    middle = np.mean(means)
    return (means[0] - means[1]) / (2 * min(middle, 1 - middle))


@pytest.mark.parametrize("seed", range(3))
def test_sensitivity_is_over_classes_and_draws(seed):
    rng = np.random.default_rng(seed)
    kinds = [[f"noise_{kind}{end}" for end in ("", ".1", ".2")] for kind in ("back", "fore")]
    y = np.repeat([0, 1, 2], [4, 8, 20])
    frames = [
        predictions({GROUPS[0]: rng.integers(0, 4, y.size).tolist()}, variant=name).assign(y=y)
        for names in kinds
        for name in names
    ]
    frame = pd.concat(frames)
    params = {"relative_foreground_sensitivity": {"background": kinds[0], "foreground": kinds[1]}}
    context = replace(RICH, metrics=params)
    row = find(sensitivity_rows(tables(frame), context), "relative_foreground_sensitivity")
    assert row.value == pytest.approx(published_sensitivity(frame, kinds))
    assert row.n == y.size
    assert -1 <= row.ci_low < row.value < row.ci_high <= 1


def test_sensitivity_of_a_class_with_one_image_has_no_interval():
    frames = [
        predictions({GROUPS[0]: predicted}, variant=f"noise_{kind}").assign(y=[0, 0, 1])
        for kind, predicted in (("background", [0, 0, 0]), ("foreground", [0, 1, 1]))
    ]
    row = find(sensitivity_rows(tables(pd.concat(frames)), RICH), "relative_foreground_sensitivity")
    assert row.value == pytest.approx(-1 / 3)  # 1/2 against 3/4, of a largest 3/4
    assert (row.ci_low, row.ci_high) == (None, None)
    assert "single image" in row.reason


@pytest.mark.parametrize(("y", "which"), [(0, "right"), (1, "wrong")])
def test_sensitivity_is_undefined_at_the_ends(y, which):
    row = noisy([y] * 3, [y] * 3)
    assert (row.value, row.n) == (None, 0)
    assert which in row.reason


def test_sensitivity_without_a_variant_is_undefined():
    row = noisy([0, 0], [])
    assert row.value is None
    assert "noise_foreground" in row.reason


def originals():
    return rich_predictions().query("variant == 'original'")


def test_accuracy_drop_of_two_kinds_of_images():
    frame = originals()
    right = (frame["y_pred"] == frame["y"]).groupby(frame["a_kind"]).mean()
    row = find(drop_rows(tables(rich_predictions()), RICH), "accuracy_drop")
    assert row.value == pytest.approx(right["class"] - right["spurious"])
    assert (row.n, row.ci_method) == (len(frame), "newcombe")


def test_accuracy_drop_of_a_kind_that_is_not_there_is_undefined():
    frame = rich_predictions().assign(a_kind="class")
    row = find(drop_rows(tables(frame), RICH), "accuracy_drop")
    assert (row.value, row.n, row.reason) == (None, 0, "no image with kind spurious")


def test_gap_to_a_variant_is_paired_or_not_by_its_ids():
    frame = rich_predictions()
    right = (frame["y_pred"] == frame["y"]).groupby(frame["variant"]).mean()
    row = find(drop_rows(tables(frame), RICH), "gap_id_ood")
    assert row.value == pytest.approx(right["original"] - right["outside"])
    assert (row.variant, row.ci_method) == ("outside", "bonett_price")
    outside = frame["variant"] == "outside"
    apart = frame.assign(id=frame["id"].mask(outside, "x" + frame["id"]))
    other = find(drop_rows(tables(apart), RICH), "gap_id_ood")
    assert other.value == pytest.approx(row.value)
    assert (other.ci_method, other.n) == ("newcombe", 2 * row.n)


def test_gap_to_a_variant_that_was_not_evaluated_is_undefined():
    row = find(drop_rows(tables(originals()), RICH), "gap_id_ood")
    assert (row.value, row.n, row.reason) == (None, 0, "variants not evaluated: outside")


def test_kinds_with_common_images_have_no_drop():
    kinds = {"before": {"kind": "class"}, "after": {"kind": ["class", "spurious"]}}
    context = replace(RICH, metrics={"accuracy_drop": kinds})
    row = find(drop_rows(tables(originals()), context), "accuracy_drop")
    assert (row.value, row.n) == (None, 0)
    assert "in common" in row.reason


def of_one_class(y, before, after):
    """`class_accuracy_gap` of the class water, whose images are those with y = 1."""
    frames = [
        predictions({GROUPS[0]: predicted}, variant=name).assign(y=y)
        for name, predicted in (("original", before), ("outside", after))
    ]
    params = {"class_accuracy_gap": ASKED["class_accuracy_gap"]}
    context = replace(RICH, metrics=params)
    return find(drop_rows(tables(pd.concat(frames)), context), "class_accuracy_gap")


def test_class_accuracy_gap_is_over_the_images_of_the_class():
    row = of_one_class([1, 1, 1, 0], before=[1, 0, 2, 0], after=[1, 1, 1, 1])
    assert row.value == pytest.approx(3 / 3 - 1 / 3)
    assert (row.n, row.variant, row.higher_is_better) == (3, "outside", False)
    assert (row.ci_low, row.ci_high) == bonett_price(0, 2, 3)


def test_class_accuracy_gap_needs_an_image_of_the_class():
    row = of_one_class([0, 0], before=[1, 0], after=[1, 1])
    assert (row.value, row.reason) == (None, "no image of the class water")


def test_class_share_increase():
    before = predictions({GROUPS[0]: [0, 0, 1, 0]})
    after = predictions({GROUPS[0]: [1, 0, 1, 1]}, variant="outside")
    params = {"class_share_increase": ASKED["class_share_increase"]}
    row = find(
        drop_rows(tables(pd.concat([before, after])), replace(RICH, metrics=params)),
        "class_share_increase",
    )
    assert row.value == 3 / 4 - 1 / 4
    assert (row.ci_low, row.ci_high) == bonett_price(0, 2, 4)


def suite(labels=LABELS, groups=GROUPS):
    attributes = {
        "place": SimpleNamespace(values=list(LABELS)),
        "kind": SimpleNamespace(values=["class", "spurious"]),
        "hue": SimpleNamespace(values=["red", "green", "blue"]),
    }
    return SimpleNamespace(
        labels=list(labels),
        attributes=attributes,
        groups=SimpleNamespace(names=list(groups)),
        variants_in=lambda _: list(VARIANTS),
        values_of=lambda name: list(labels) if name == "y" else attributes[name].values,
    )


def test_right_parameters_pass():
    check_metrics(ASKED, suite(), primary="auroc")
    cells = {"before": {"y": "land", "group": GROUPS[0]}, "after": {"place": ["land", "water"]}}
    check_metrics({"accuracy_drop": cells}, suite(), primary="worst_group_accuracy")


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({"aurok": {}}, "aurok"),
        ({"accuracy": {}}, "always computed"),
        ({"auroc": {"positive": {}}}, "unknown parameter 'positive'"),
        ({"auroc": {"positive_label": "sky"}}, "no label is called 'sky'"),
        ({"robust_auroc": {"positive": {"place": "land"}}}, "'negative' is missing"),
        ({"robust_auroc": {"positive": "land", "negative": {}}}, "is not a table"),
        (
            {"robust_auroc": {"positive": {"tube": "no"}, "negative": {}}},
            "no attribute is called 'tube'",
        ),
        (
            {"accuracy_drop": {"before": {"place": "sky"}, "after": {"place": "land"}}},
            "no value is called 'sky'",
        ),
        ({"gap_id_ood": {"variants": "outside"}}, "is not a list"),
        ({"gap_id_ood": {"variants": ["outsid"]}}, "no evaluated variant is called 'outsid'"),
        ({"shortcut_gap": {"shortcuts": ["hue"]}}, "3 values for 2 labels"),
        ({"class_share_increase": {"variant": "outside", "label": 3}}, "no label is called 3"),
    ],
)
def test_wrong_parameters_are_named(metrics, text):
    with pytest.raises(UsageError) as caught:
        check_metrics(metrics, suite(), where="suite.toml: protocol.standard.metrics")
    assert text in str(caught.value)
    if "aurok" not in metrics:
        assert "protocol.standard.metrics" in caught.value.where


@pytest.mark.parametrize(
    ("primary", "params"),
    [
        ("gap_id_ood", {"variants": ["outside", "mixed_rand"]}),
        ("shortcut_gap", {"shortcuts": ["place", "kind"]}),
    ],
)
def test_a_metric_with_several_numbers_cannot_rank(primary, params):
    with pytest.raises(UsageError, match="cannot rank"):
        check_metrics({primary: params}, suite(), primary=primary)
    single = {key: names[:1] for key, names in params.items()}
    check_metrics({primary: single}, suite(), primary=primary)


def test_two_labels_are_needed_for_a_roc_curve():
    with pytest.raises(UsageError, match="needs 2 labels, the suite has 3"):
        check_metrics({"auroc": {}}, suite(labels=("a", "b", "c")))


@pytest.mark.parametrize(
    ("primary", "groups", "text"),
    [
        ("worst", GROUPS, "worst"),
        ("variant_accuracy", GROUPS, "no direction"),
        ("robust_auroc", GROUPS, "only when asked for"),
        ("worst_group_accuracy", ("all",), "more than one group"),
    ],
)
def test_a_primary_metric_that_cannot_rank_is_refused(primary, groups, text):
    with pytest.raises(UsageError, match=text):
        check_metrics({}, suite(groups=groups), primary=primary)
