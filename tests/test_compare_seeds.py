from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from compare_support import explanations, outcomes, run

from ifambench.compare_seeds import compare_seed_sets
from ifambench.comparison import compare_seeds
from ifambench.errors import UsageError
from ifambench.metrics.uncertainty import holm, paired_t, welch

WEAK = outcomes((190, 200), (60, 200))


def seeds(model, rights, first=0):
    found = enumerate(rights, start=first)
    return [run(outcomes((95, 100), (x, 100)), model=model, seed=seed) for seed, x in found]


def test_equal_seeds_are_paired():
    found = compare_seeds(seeds("x", [50, 60, 70]), seeds("y", [61, 70, 82]))
    row = found.rows.set_index("metric").loc["worst_group_accuracy"]
    assert (row["a_mean"], row["a_std"], row["a_n"]) == (pytest.approx(0.6), pytest.approx(0.1), 3)
    expected = paired_t([0.5, 0.6, 0.7], [0.61, 0.70, 0.82])
    assert (row["ci_low"], row["ci_high"], row["p"]) == pytest.approx(tuple(expected))
    assert row["method"] == "paired_t"
    assert found.verdict.startswith("y is better than x in mean worst-group accuracy: +11.0 pp [")
    assert found.warnings == []


def test_other_seeds_are_two_samples():
    found = compare_seeds(seeds("x", [50, 60, 70]), seeds("y", [61, 70, 82], first=7))
    row = found.rows.set_index("metric").loc["worst_group_accuracy"]
    expected = welch([0.5, 0.6, 0.7], [0.61, 0.70, 0.82])
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(expected[:2])
    assert "cannot be told apart" in found.verdict


def test_the_order_of_the_runs_does_not_matter():
    a, b = seeds("x", [50, 60, 70]), seeds("y", [61, 70, 82])
    pd.testing.assert_frame_equal(compare_seeds(a, b).rows, compare_seeds(a[::-1], b).rows)


def test_one_seed_has_no_interval():
    found = compare_seeds(seeds("x", [50]), seeds("y", [61, 70, 82]))
    row = found.rows.set_index("metric").loc["worst_group_accuracy"]
    assert np.isnan(row["ci_low"])
    assert "too few for an interval" in found.verdict
    assert found.warnings == ["x has fewer than 3 training seeds"]


@pytest.mark.parametrize(
    ("runs", "match"),
    [
        (lambda: [], "one model"),
        (lambda: seeds("x", [50]) + seeds("z", [50], first=1), "one model"),
        (lambda: seeds("x", [50]) + seeds("x", [50]), "seed twice"),
        (lambda: [run(WEAK, model="x", suite={"id": "other"})], "suite.id"),
    ],
)
def test_seed_lists_are_checked(runs, match):
    with pytest.raises(UsageError, match=match):
        compare_seeds(seeds("y", [60, 70]), runs())


def test_groups_and_explainers_are_compared_over_seeds_too():
    def runs(model, gains):
        found = outcomes((9, 10), (5, 10))
        return [
            run(found, explanations({"random": 0.0, "ifam-mask": gain}), model=model, seed=seed)
            for seed, gain in enumerate(gains)
        ]

    found = compare_seeds(runs("x", [0.1, 0.2, 0.3]), runs("y", [0.4, 0.5, 0.65]))
    rows = found.rows.set_index(["metric", "group", "explainer"]).sort_index()
    mask = rows.loc[("srg", "all", "ifam-mask")]
    assert mask["delta"] == pytest.approx(0.95 / 3)
    assert mask["better"] == "b"
    assert rows.loc[("srg", "all", "random"), "better"] is None
    assert {"land", "water"} <= set(found.rows.query("metric == 'group_accuracy'")["group"])


def test_several_candidates_share_one_correction():
    base, good, same = (seeds(name, x) for name, x in CANDIDATES.items())
    found = compare_seed_sets([(base, good), (base, same)])
    rows = [item.rows.query("metric == 'worst_group_accuracy'").iloc[0] for item in found]
    assert [row["p_holm"] for row in rows] == holm([row["p"] for row in rows])
    alone = compare_seeds(base, good).rows.query("metric == 'worst_group_accuracy'").iloc[0]
    assert rows[0]["p_holm"] > alone["p_holm"] == alone["p"]
    assert [item.candidates for item in found] == [2, 2]


CANDIDATES = {"x": [50, 60, 70], "y": [61, 70, 82], "z": [50, 62, 69]}


def test_one_model_from_two_places_has_two_names():
    runs = seeds("x", [50, 60, 70])
    assert compare_seed_sets([(runs, runs)], ["main", "HEAD"])[0].names == ("x (main)", "x (HEAD)")
    assert compare_seeds(runs, runs).names == ("x (A)", "x (B)")


def test_seeds_that_judged_other_images_are_refused():
    fewer = [run(outcomes((95, 100), (60, 90)), model="y", seed=k) for k in range(3)]
    with pytest.raises(UsageError, match="image ids"):
        compare_seeds(seeds("x", [50, 60, 70]), fewer)


def test_explanations_of_another_protocol_are_left_out():
    steps = {"protocol": {"explain": {"steps": 10}}}
    other = [run(WEAK, model="y", seed=seed, **steps) for seed in range(2)]
    found = compare_seeds([run(WEAK, model="x", seed=seed) for seed in range(2)], other)
    assert found.rows["explainer"].isna().all()
    assert any("measured differently" in text for text in found.warnings)


def test_an_interval_without_width_is_warned_about():
    found = compare_seeds(seeds("x", [50, 60, 70]), seeds("y", [60, 70, 80]))
    assert any("without width" in text for text in found.warnings)
    same = seeds("x", [50, 60, 70])
    assert not any("without width" in text for text in compare_seeds(same, same).warnings)
