"""Which images are explained."""

import pandas as pd

from ifambench.explain.measure import choose_images
from tests.explain.measured import DATA, ROWS


def test_choice_is_even_over_groups() -> None:
    rows = pd.DataFrame(
        {"id": [f"i{k:03d}" for k in range(110)], "group": ["a"] * 90 + ["b"] * 15 + ["c"] * 5}
    )
    counts = choose_images(rows, 30, ["a", "b", "c"], 0)["group"].value_counts()
    assert counts.to_dict() == {"a": 13, "b": 12, "c": 5}
    assert len(choose_images(rows, 999, ["a", "b", "c"], 0)) == 110


def test_choice_depends_on_ids_and_seed_alone() -> None:
    groups = DATA.suite.groups.names
    chosen = choose_images(ROWS, 8, groups, 0)
    assert chosen["id"].is_monotonic_increasing
    assert list(chosen.columns) == list(ROWS.columns)
    pd.testing.assert_frame_equal(choose_images(ROWS[::-1], 8, groups, 0), chosen)
    assert set(choose_images(ROWS, 4, groups, 0)["id"]) < set(chosen["id"])
    seeds = [tuple(choose_images(ROWS, 4, groups, seed)["id"]) for seed in range(5)]
    assert len(set(seeds)) > 1
