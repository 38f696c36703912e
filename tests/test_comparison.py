from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from compare_support import explanations, outcomes, run

from ifambench.comparison import (
    check_gates,
    compare_runs,
    compare_seeds,
    parse_drop,
)
from ifambench.errors import UsageError
from ifambench.metrics.paired_worst import worst_difference
from ifambench.metrics.resampling import bootstrap_mean
from ifambench.metrics.uncertainty import bonett_price, holm, mcnemar
from ifambench.reports.comparison import comparison_section
from ifambench.verdict import verdict

WEAK = outcomes((190, 200), (60, 200))
STRONG = outcomes((192, 200), (180, 200))


def row(comparison, metric, **where):
    frame = comparison.rows[comparison.rows["metric"] == metric]
    for key, value in where.items():
        frame = frame[frame[key] == value]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.fixture(scope="module")
def improved():
    return compare_runs(run(WEAK, model="vit"), run(STRONG, model="ifam"))


def test_groups_have_mcnemar_holm_and_a_paired_interval(improved):
    land, water = (row(improved, "group_accuracy", group=name) for name in ("land", "water"))
    assert (water["a"], water["b"], water["n"]) == (0.3, 0.9, 200)
    assert (water["ci_low"], water["ci_high"]) == bonett_price(0, 120, 200)
    p_values = [mcnemar(0, 2), mcnemar(0, 120)]
    assert (land["p"], water["p"]) == tuple(p_values)
    assert [land["p_holm"], water["p_holm"]] == holm(p_values)
    assert (land["better"], water["better"]) == ("tie", "b")


def test_one_group_of_several_needs_more_evidence_than_one_alone():
    a, b = outcomes((90, 100), (50, 100)), outcomes((90, 100), (50, 100))
    b["water"][:2] = [False] * 2
    b["water"][80:90] = [True] * 10  # 2 lost, 10 won: p = 0.039, times two groups
    water = row(compare_runs(run(a), run(b)), "group_accuracy", group="water")
    assert water["ci_low"] > 0
    assert water["p"] < 0.05 < water["p_holm"]
    assert water["better"] == "tie"


def test_worst_group_difference_is_bounded_over_the_groups_that_may_be_worst(improved):
    found = row(improved, "worst_group_accuracy")
    expected = worst_difference([[190, 0, 2, 8], [60, 0, 120, 20]])
    assert (found["ci_low"], found["ci_high"], found["p"]) == expected
    assert found["delta"] == pytest.approx(0.6)
    assert (found["group"], found["better"]) == ("water", "b")


def test_averages_are_those_of_the_records(improved):
    a, b = run(WEAK).record, run(STRONG).record
    for metric in ("accuracy", "adjusted_accuracy", "group_mean_accuracy"):
        found = row(improved, metric)
        stored = [next(r.value for r in x.metrics if r.metric == metric) for x in (a, b)]
        assert [found["a"], found["b"]] == pytest.approx(stored)
        assert found["ci_low"] < found["delta"] < found["ci_high"]


def test_columns_are_those_documented(improved):
    assert " ".join(improved.rows.columns) == (
        "metric group variant explainer a b delta ci_low ci_high p p_holm method n better"
    )


def test_verdict_is_a_sentence_with_the_numbers(improved):
    found = row(improved, "worst_group_accuracy")
    low, high = 100 * found["ci_low"], 100 * found["ci_high"]
    assert improved.verdict.startswith(
        f"ifam is 60.0 pp [{low:.1f}, {high:.1f}] better than vit on its worst group "
        "(0.900 against 0.300, p < 0.001); accuracy +30.5 pp ["
    )
    assert not improved.forced
    assert improved.warnings == []


def test_exchanging_the_runs_exchanges_the_answer(improved):
    back = compare_runs(run(STRONG, model="ifam"), run(WEAK, model="vit"))
    there = improved.rows.set_index(["metric", "group", "explainer"], drop=True)
    here = back.rows.set_index(["metric", "group", "explainer"], drop=True)
    np.testing.assert_allclose(here["delta"].astype(float), -there["delta"].astype(float))
    worst = row(back, "worst_group_accuracy")
    assert worst["better"] == "a"
    assert worst["ci_high"] < 0
    assert "vit is 60.0 pp [5" in back.verdict
    assert "worse than ifam on its worst group" in back.verdict


def test_the_verdict_is_about_the_primary_metric():
    primary = {"protocol": {"primary_metric": "accuracy"}}
    found = compare_runs(run(WEAK, model="x", **primary), run(STRONG, model="y", **primary))
    assert found.verdict.startswith("y is 30.5 pp [")
    assert "better than x on accuracy (0.930 against 0.625" in found.verdict
    assert "group" not in found.verdict


def test_a_verdict_where_lower_is_better():
    swaps = {
        "x": {"mixed_same": STRONG, "mixed_rand": WEAK},
        "y": {"mixed_same": STRONG, "mixed_rand": STRONG},
    }
    primary = {"protocol": {"primary_metric": "bg_gap"}}
    runs = [run(STRONG, variants=swaps[name], model=name, **primary) for name in "xy"]
    found = compare_runs(*runs)
    assert found.verdict.startswith("y is 30.5 pp [")
    assert "better than x on bg_gap" in found.verdict


def test_the_accuracy_on_random_backgrounds_is_paired():
    primary = {"protocol": {"primary_metric": "mixed_rand_accuracy"}}
    runs = [
        run(STRONG, variants={"mixed_rand": found}, model=name, **primary)
        for name, found in (("x", WEAK), ("y", STRONG))
    ]
    found = compare_runs(*runs)
    shift = row(found, "mixed_rand_accuracy")
    assert (shift["a"], shift["b"]) == pytest.approx((0.625, 0.93))
    assert shift["better"] == "b"
    assert found.verdict.startswith("y is 30.5 pp [")
    assert "mixed_rand_accuracy" not in set(compare_runs(run(WEAK), run(WEAK)).rows["metric"])


def test_a_primary_metric_without_a_paired_form_is_said_to_have_none():
    primary = {"protocol": {"primary_metric": "spurious_ap"}}
    found = compare_runs(run(WEAK, **primary), run(STRONG, model="y", **primary))
    assert found.verdict.startswith("spurious_ap has no paired difference; accuracy +30.5 pp [")


def test_seeds_are_compared_by_the_primary_metric_too():
    primary = {"protocol": {"primary_metric": "class_mean_accuracy"}}
    runs = [
        [run(outcomes((9, 10), (x, 10)), model=name, seed=seed, **primary) for seed, x in found]
        for name, found in (("x", enumerate([1, 2, 3])), ("y", enumerate([7, 8, 9])))
    ]
    assert compare_seeds(*runs).verdict.startswith("y is better than x in mean class_mean_accuracy")


def test_runs_that_cannot_be_told_apart_are_said_to_be_so():
    a, b = outcomes((190, 200), (100, 200)), outcomes((190, 200), (100, 200))
    b["water"][0], b["water"][150] = False, True
    found = compare_runs(run(a, model="x"), run(b, model="y"))
    assert row(found, "worst_group_accuracy")["better"] == "tie"
    assert found.verdict.startswith("y and x cannot be told apart on their worst group: +0.0 pp [")


def test_identical_runs_have_no_difference_and_two_names():
    found = compare_runs(run(WEAK), run(WEAK))
    assert (found.name_a, found.name_b) == ("vit seed 0 (A)", "vit seed 0 (B)")
    assert set(found.rows["better"].dropna()) == {"tie"}
    seeds = compare_runs(run(WEAK, seed=1), run(WEAK, seed=2))
    assert (seeds.name_a, seeds.name_b) == ("vit seed 1", "vit seed 2")


def test_near_ties_are_named():
    tied = outcomes((150, 200), (149, 200))
    found = compare_runs(run(tied, model="x"), run(STRONG, model="y"))
    assert "near tie for the worst group" in found.verdict
    assert any("near tie in x: land" in text for text in found.warnings)


def test_different_worst_groups_are_both_named():
    a, b = outcomes((180, 200), (100, 200)), outcomes((90, 200), (190, 200))
    assert row(compare_runs(run(a), run(b)), "worst_group_accuracy")["group"] == "water / land"


def test_background_gaps_are_compared_on_the_same_images():
    shift = {"mixed_same": outcomes((150, 200), (150, 200))}
    a = run(WEAK, variants=shift | {"mixed_rand": outcomes((100, 200), (60, 200))})
    b = run(WEAK, variants=shift | {"mixed_rand": outcomes((140, 200), (150, 200))})
    found = row(compare_runs(a, b), "bg_gap")
    assert (found["a"], found["b"]) == pytest.approx((140 / 400, 10 / 400))
    assert found["better"] == "b"
    # per image the gap falls by 1 for 130 of 400 images, in strata of 40 and 90 of 200
    error = np.sqrt(0.25 * (0.2 * 0.8 + 0.45 * 0.55) / 200)
    limits = (found["ci_low"], found["ci_high"])
    assert limits == pytest.approx((-0.325 - 1.96 * error, -0.325 + 1.96 * error), abs=0.006)
    assert "bg_gap" not in set(compare_runs(run(WEAK), run(WEAK)).rows["metric"])


def test_common_explainers_are_paired_and_all_are_listed():
    a = run(WEAK, explanations({"random": 0.0, "grad_cam": 0.1}), model="x")
    b = run(WEAK, explanations({"random": 0.02, "ifam_mask": 0.6}), model="y")
    found = compare_runs(a, b)
    srg = row(found, "srg", explainer="random")
    assert (srg["ci_low"], srg["ci_high"]) == pytest.approx((0.02, 0.02))  # the noise is shared
    assert srg["better"] is None  # no verdict on the random order
    listed = found.explainers.set_index("explainer")
    assert listed["paired"].to_dict() == {"grad_cam": False, "ifam_mask": False, "random": True}
    assert listed.loc["ifam_mask", "b"] == pytest.approx(
        b.explanations.query("explainer == 'ifam_mask'")["srg"].mean()
    )
    assert np.isnan(listed.loc["ifam_mask", "a"])


def test_explainers_are_paired_over_the_common_images():
    maps = explanations({"random": 0.0, "grad_cam": 0.1})
    other = maps.assign(srg=np.random.default_rng(1).uniform(size=len(maps))).iloc[3:]
    found = row(
        compare_runs(run(WEAK, maps), run(WEAK, other.iloc[::-1])), "srg", explainer="random"
    )
    left = maps[maps["explainer"] == "random"].set_index("id")
    right = other[other["explainer"] == "random"].set_index("id")
    gaps = (right["srg"] - left["srg"]).dropna().sort_index()
    expected = bootstrap_mean(gaps, left.loc[gaps.index, "group"])
    assert found["n"] == 21
    assert (found["ci_low"], found["ci_high"], found["p"]) == pytest.approx(tuple(expected))


def test_explanations_of_another_protocol_are_not_compared():
    b = run(WEAK, protocol={"explain": {"steps": 10}})
    found = compare_runs(run(WEAK), b)
    assert found.rows["explainer"].isna().all()
    assert any("measured differently" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("suite.id", {"suite": {"id": "other"}}),
        ("suite.version", {"suite": {"version": "2.0.0"}}),
        ("suite.data_digest", {"suite": {"data_digest": "zz"}}),
        ("protocol.name", {"protocol": {"name": "quick"}}),
        ("protocol.eval_split", {"protocol": {"eval_split": "val"}}),
        ("status", {"status": "partial"}),
    ],
)
def test_incomparable_runs_are_refused_by_key_and_forced_on_request(key, changes):
    a, b = run(WEAK), run(STRONG, **changes)
    with pytest.raises(UsageError, match=key) as caught:
        compare_runs(a, b)
    assert "--force" in caught.value.next_step
    forced = compare_runs(a, b, force=True)
    assert forced.forced
    assert forced.verdict.startswith("forced comparison: ")
    assert any(key in text for text in forced.warnings)
    assert row(forced, "worst_group_accuracy")["delta"] == pytest.approx(0.6)


def test_minor_versions_compare():
    assert not compare_runs(run(WEAK), run(WEAK, suite={"version": "1.9.1"})).forced


def test_other_images_are_refused_and_forced_on_the_common_ones():
    a, b = run(WEAK), run(outcomes((192, 200), (150, 150)))
    with pytest.raises(UsageError, match="image ids") as caught:
        compare_runs(a, b)
    assert "50 of 400 only here | 0 of 350 only here" in caught.value.where
    assert row(compare_runs(a, b, force=True), "accuracy")["n"] == 350


def test_forcing_needs_an_image_in_common():
    a, b = run(WEAK), run(WEAK)
    other = b.predictions.assign(id="x" + b.predictions["id"])
    with pytest.raises(UsageError, match="no image in common"):
        compare_runs(a, type(b)(b.folder, b.record, other, b.explanations), force=True)


def test_forcing_leaves_the_worst_group_undefined_without_its_images():
    b = run(WEAK)
    land = b.predictions[b.predictions["group"] == "land"]
    found = compare_runs(run(WEAK), type(b)(b.folder, b.record, land, b.explanations), force=True)
    assert np.isnan(row(found, "worst_group_accuracy")["delta"])
    assert row(found, "worst_group_accuracy")["better"] is None
    assert "undefined" in found.verdict
    result = check_gates(found, drops=[parse_drop("worst_group_accuracy=1pp")])
    assert result[0].outcome == "failed"


def test_selection_on_the_test_split_is_a_warning():
    b = run(WEAK, model="oracle", protocol={"selection": "test_oracle"})
    assert any("oracle was selected on the test" in x for x in compare_runs(run(WEAK), b).warnings)


def sentence(delta, low, high, better, p):
    row = {"metric": "accuracy", "a": 0.5, "b": 0.5 + delta, "delta": delta, "p": p}
    row |= {"ci_low": low, "ci_high": high, "better": better}
    return verdict(pd.DataFrame([row]), ("x", "y"), ([], []), "accuracy", forced=False)


def test_a_verdict_does_not_round_its_reason_away():
    """The interval excludes 0 and p is below 0.05, so neither may look as if it did not."""
    found = sentence(0.0024, 0.0002, 0.0046, "b", 0.0497)
    assert "y is 0.24 pp [0.02, 0.46] better than x" in found
    assert "p = 0.0497" in found
    worse = sentence(-0.0003, -0.0005, -0.0001, "a", 0.0001)
    assert "y is 0.03 pp [0.01, 0.05] worse than x" in worse
    assert "p < 0.001" in worse
    assert "+0.0 pp [-2.0, +2.0]" in sentence(0.0, -0.02, 0.02, "tie", 1.0)


@pytest.mark.parametrize(
    ("metric", "explainer", "shown"),
    [("rank_accuracy", "rise", "+0.02"), ("group_mean_accuracy", None, "+2 pp")],
)
def test_points_are_for_rates_of_images_only(metric, explainer, shown):
    """An accuracy of a map is a mean of shares, as are its neighbours in the table."""
    row = {"metric": metric, "group": "all", "variant": "original", "explainer": explainer}
    row |= {"a": 0.5, "b": 0.52, "delta": 0.02, "ci_low": -0.1, "ci_high": 0.14, "p_holm": 0.5}
    found = SimpleNamespace(
        rows=pd.DataFrame([row | {"n": 40, "better": "tie"}]),
        **{"name_a": "x", "name_b": "y", "forced": False, "verdict": "v", "warnings": []},
    )
    (line,) = comparison_section(found).rows
    assert line[3] == shown
