from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from compare_support import explanations, outcomes, run

from ifambench.comparison import Drop, Floor, check_gates, compare_runs, parse_drop, parse_floor
from ifambench.errors import UsageError

WEAK = outcomes((190, 200), (60, 200))
STRONG = outcomes((192, 200), (180, 200))


def row(comparison, metric):
    frame = comparison.rows[comparison.rows["metric"] == metric]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.fixture(scope="module")
def improved():
    return compare_runs(run(WEAK, model="vit"), run(STRONG, model="ifam"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worst_group_accuracy=1pp", Drop("worst_group_accuracy", 0.01, False)),
        ("accuracy = 2.5 %", Drop("accuracy", 0.025, True)),
        ("bg_gap=0pp", Drop("bg_gap", 0.0, False)),
    ],
)
def test_drops_are_read(text, expected):
    assert parse_drop(text) == expected


@pytest.mark.parametrize(
    "text", ["accuracy=1", "accuracy", "accuracy=", "=1pp", "accuracy=-1pp", "accuracy=onepp"]
)
def test_drops_need_a_unit(text):
    with pytest.raises(UsageError, match="gate"):
        parse_drop(text)


@pytest.mark.parametrize("text", ["accuracy=85", "accuracy=85%", "accuracy=x", "mask_area=0.5"])
def test_floors_are_fractions_of_metrics_with_a_direction(text):
    with pytest.raises(UsageError, match="gate"):
        parse_floor(text)


def test_unknown_metrics_are_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="did you mean worst_group_accuracy"):
        parse_floor("worst_group_acuracy=0.85")


def outcome(comparison, floor=None, drop=None, strict=False):
    floors = [parse_floor(floor)] if floor else []
    drops = [parse_drop(drop)] if drop else []
    (result,) = check_gates(comparison, floors, drops, strict)
    return result


def test_floors_hold_the_candidate_only(improved):
    assert outcome(improved, floor="worst_group_accuracy=0.9").outcome == "ok"
    missed = outcome(improved, floor="worst_group_accuracy=0.901")
    assert (missed.outcome, missed.passed) == ("failed", False)
    assert "0.9000" in missed.text


def test_every_group_is_a_gate_of_its_own(improved):
    results = check_gates(improved, floors=[parse_floor("group_accuracy=0.95")])
    assert {r.name: r.outcome for r in results} == {
        "group_accuracy:land >= 0.95": "ok",
        "group_accuracy:water >= 0.95": "failed",
    }


def test_a_clear_drop_is_a_regression():
    worse = compare_runs(run(STRONG), run(WEAK, model="x"))
    result = outcome(worse, drop="worst_group_accuracy=1pp")
    assert (result.outcome, result.passed) == ("regressed", False)
    assert "-60.0 pp [" in result.text
    width = row(worse, "worst_group_accuracy")
    smallest = 100 * (width["ci_high"] - width["ci_low"]) / 2
    shown = f"smallest detectable drop about {smallest:.1f} pp"
    assert f"{shown}, more than the tolerance (n = 200)" in result.text
    wide = outcome(worse, drop="worst_group_accuracy=61pp")
    assert f"{shown} (n = 200)" in wide.text
    assert outcome(worse, drop="worst_group_accuracy=61pp").outcome == "ok"
    assert outcome(worse, drop="worst_group_accuracy=66%").outcome == "regressed"
    assert outcome(worse, drop="worst_group_accuracy=67%").outcome == "ok"


def test_a_drop_within_the_noise_is_inconclusive_and_fails_when_strict():
    a, b = outcomes((190, 200), (100, 200)), outcomes((190, 200), (100, 200))
    b["water"][:8] = [False] * 8
    b["water"][150:154] = [True] * 4
    found = compare_runs(run(a), run(b, model="x"))
    result = outcome(found, drop="worst_group_accuracy=1pp")
    assert (result.outcome, result.passed) == ("inconclusive", True)
    strict = outcome(found, drop="worst_group_accuracy=1pp", strict=True)
    assert (strict.outcome, strict.passed) == ("failed", False)
    assert outcome(found, drop="worst_group_accuracy=2pp").outcome == "ok"  # exactly 2


def test_the_direction_comes_from_the_catalogue():
    same = {"mixed_same": outcomes((150, 200), (150, 200))}
    a = run(WEAK, variants=same | {"mixed_rand": outcomes((140, 200), (150, 200))})
    b = run(WEAK, variants=same | {"mixed_rand": outcomes((100, 200), (60, 200))})
    found = compare_runs(a, b)  # the gap grows from 0.025 to 0.35
    assert outcome(found, drop="bg_gap=10pp").outcome == "regressed"
    assert outcome(found, floor="bg_gap=0.3").outcome == "failed"
    assert outcome(found, floor="bg_gap=0.4").name == "bg_gap <= 0.4"
    assert outcome(found, floor="bg_gap=0.4").outcome == "ok"
    assert outcome(compare_runs(b, a), drop="bg_gap=0pp").outcome == "ok"


def test_a_metric_that_was_not_compared_fails(improved):
    result = outcome(improved, drop="bg_gap=1pp")
    assert (result.outcome, result.passed) == ("failed", False)
    assert "not part of this comparison" in result.text


def test_a_scope_is_read_after_a_colon():
    assert parse_floor("srg:ifam-mask=0.1") == Floor("srg", 0.1, "ifam-mask")
    assert parse_drop("group_accuracy:y=1, bg=2=1pp") == Drop(
        "group_accuracy", 0.01, False, "y=1, bg=2"
    )
    with pytest.raises(UsageError, match="after the colon"):
        parse_floor("srg:=0.1")


def test_points_are_for_fractions_only():
    assert parse_drop("srg_logit=5%").relative
    with pytest.raises(UsageError, match="srg_logit is a logit"):
        parse_drop("srg_logit=1pp")


def test_one_group_is_gated_by_name(improved):
    assert outcome(improved, floor="group_accuracy:land=0.95").outcome == "ok"
    missed = outcome(improved, floor="group_accuracy:water=0.95")
    assert (missed.name, missed.outcome) == ("group_accuracy:water >= 0.95", "failed")
    assert outcome(improved, drop="group_accuracy:water=1pp").outcome == "ok"


def test_a_name_that_is_not_there_fails_and_says_what_is(improved):
    result = outcome(improved, floor="group_accuracy:sky=0.5")
    assert (result.name, result.outcome) == ("group_accuracy:sky", "failed")
    assert result.text.endswith("there are group_accuracy:land, group_accuracy:water")


@pytest.fixture(scope="module")
def explained():
    """The mask of the candidate explains worse than that of the baseline."""
    a = run(STRONG, explanations({"random": 0.0, "ifam-mask": 0.5}), model="x")
    b = run(STRONG, explanations({"random": 0.0, "ifam-mask": 0.3, "rollout": 0.2}), model="y")
    return compare_runs(a, b)


def test_explainers_are_gated_by_name(explained):
    assert outcome(explained, drop="srg:ifam-mask=30pp").outcome == "ok"
    lost = outcome(explained, drop="srg:ifam-mask=5%")
    assert (lost.name, lost.outcome) == ("srg:ifam-mask drop <= 5%", "regressed")
    assert outcome(explained, floor="srg:random=0.1").outcome == "failed"


def test_every_explainer_is_gated_but_the_random_floor(explained):
    found = check_gates(explained, [parse_floor("srg=0.25")], [parse_drop("srg=1pp")])
    assert {result.name: result.outcome for result in found} == {
        "srg:ifam-mask >= 0.25": "ok",
        "srg:rollout >= 0.25": "failed",  # only the candidate has it: no drop, but a floor
        "srg:ifam-mask drop <= 1pp": "regressed",
    }


def of_candidate(comparison, **changes):
    """The comparison with another worst-group accuracy of the candidate, as it is stored."""
    own = comparison.candidate.query("metric == 'worst_group_accuracy'").assign(**changes)
    return type(comparison)(**{**vars(comparison), "candidate": own})


def of_difference(comparison, **changes):
    rows = comparison.rows.query("metric == 'worst_group_accuracy'").assign(**changes)
    return type(comparison)(**{**vars(comparison), "rows": rows})


@pytest.mark.parametrize(
    ("value", "bound", "relation", "shown"),
    [
        (0.85, "0.85", "meets", "0.8500"),
        (0.849996, "0.85", "misses", "0.849996"),
        (0.850004, "0.85", "meets", "0.850004"),
        (0.8499999, "0.85", "misses", "0.8499999"),
        (0.8499999999999999, "0.85", "meets", "0.8500"),  # 0.85 but for the last bit
        (0.1234565, "0.1234567", "misses", "0.123456"),
    ],
)
def test_a_value_beside_a_floor_is_told_apart_from_it(improved, value, bound, relation, shown):
    result = outcome(of_candidate(improved, value=value), floor=f"worst_group_accuracy={bound}")
    assert f"is {shown} [" in result.text
    assert result.text.endswith(f"and {relation} {bound} (n = 200)")
    assert result.passed is (relation == "meets")


@pytest.mark.parametrize(
    ("delta", "tolerance", "expected", "shown"),
    [
        (-0.01, "1pp", "ok", "-1.0 pp [-2.0, -0.3]"),
        (-0.0104, "1pp", "regressed", "-1.04 pp [-2.00, -0.30]"),
        (-0.010001, "1pp", "regressed", "-1.0001 pp [-2.0000, -0.3000]"),
        (-0.0096, "1pp", "ok", "-0.96 pp [-2.00, -0.30]"),
        (-1e-17, "0pp", "ok", "+0.0 pp [-2.0, -0.3]"),  # what sums leave of an equal average
        (-0.0004, "0pp", "regressed", "-0.04 pp [-2.00, -0.30]"),
    ],
)
def test_a_drop_beside_its_tolerance_is_told_apart_from_it(
    improved, delta, tolerance, expected, shown
):
    found = of_difference(improved, delta=delta, ci_low=-0.02, ci_high=-0.003)
    result = outcome(found, drop=f"worst_group_accuracy={tolerance}")
    assert result.outcome == expected
    assert f", {shown}, tolerance {tolerance};" in result.text


def test_a_floor_holds_what_is_stored_with_its_interval(improved):
    stored = improved.candidate.query("metric == 'expected_calibration_error'")
    assert stored.empty or stored["value"].isna().all()
    result = outcome(improved, floor="worst_group_accuracy=0.85")
    own = improved.candidate.query("metric == 'worst_group_accuracy'").iloc[0]
    assert f"is 0.9000 [{own['ci_low']:.4f}, {own['ci_high']:.4f}] and meets 0.85" in result.text


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_undefined_or_not_a_number_fails(value, improved):
    changed = improved.candidate.assign(value=value)
    broken = type(improved)(**{**vars(improved), "candidate": changed})
    result = outcome(broken, floor="worst_group_accuracy=0.1")
    assert (result.outcome, result.passed) == ("failed", False)
    rows = improved.rows.assign(delta=np.nan)
    broken = type(improved)(**{**vars(improved), "rows": rows})
    assert outcome(broken, drop="worst_group_accuracy=1pp").outcome == "failed"


def test_a_drop_without_an_interval_is_inconclusive(improved):
    rows = improved.rows.assign(delta=-0.5, ci_low=np.nan, ci_high=np.nan)
    found = type(improved)(**{**vars(improved), "rows": rows})
    result = outcome(found, drop="worst_group_accuracy=1pp")
    assert result.outcome == "inconclusive"
    assert "too few seeds or images for an interval" in result.text
    assert not outcome(found, drop="worst_group_accuracy=1pp", strict=True).passed


def test_gates_on_a_forced_comparison_say_so():
    other = run(STRONG, suite={"data_digest": "zz"})
    found = compare_runs(run(WEAK), other, force=True)
    assert outcome(found, floor="accuracy=0.5").text.startswith("forced comparison: accuracy is ")


def test_a_missing_metric_fails_on_both_kinds(improved):
    empty = type(improved)(**{**vars(improved), "candidate": pd.DataFrame()})
    assert outcome(empty, floor="auroc=0.5").outcome == "failed"
    assert outcome(improved, floor="auroc=0.5").outcome == "failed"
