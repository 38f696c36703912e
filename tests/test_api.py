"""`ifambench.load_run`, `compare` and `leaderboard`: the stored tables as DataFrames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import ifambench
from ifambench.errors import UsageError
from ifambench.metrics.base import COLUMNS
from tests.compare_support import explanations, outcomes, run, store
from tests.reports import synthetic

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Two seeds of two models; do not write into it."""
    root = tmp_path_factory.mktemp("results")
    maps = explanations({"random": 0.0, "ifam-mask": 0.4})
    for seed, water in enumerate((120, 124)):
        store(root, run(outcomes((190, 200), (water, 200)), model="vit", seed=seed))
        store(root, run(outcomes((191, 200), (water + 60, 200)), maps, model="ifam", seed=seed))
    return root


def folder(results: Path, model: str, seed: int = 0) -> Path:
    return next(results.glob(f"*/{model}/*/seed{seed}"))


def test_every_table_of_a_run_is_a_frame(tmp_path):
    loaded = ifambench.load_run(synthetic.write_run(tmp_path / "run"))
    assert list(loaded.metrics.columns) == list(COLUMNS)
    assert len(loaded.metrics) == len(loaded.record.metrics)
    assert len(loaded.predictions) == loaded.record.tables["predictions"].rows
    assert len(loaded.explanations) == loaded.record.tables["explanations"].rows
    assert {"explainer", "group", "fraction", "deletion", "insertion"} <= set(loaded.curves)
    assert loaded.training["epoch"].is_monotonic_increasing
    assert loaded.sanity.empty
    assert loaded.battery.empty
    assert repr(loaded) == "Run(ifam-vit-ti on waterdigits, protocol standard, seed 0, complete)"


def test_undefined_values_are_missing(tmp_path):
    loaded = ifambench.load_run(synthetic.write_run(tmp_path / "run"))
    undefined = [item.value is None for item in loaded.record.metrics]
    assert any(undefined)
    assert loaded.metrics["value"].isna().tolist() == undefined
    assert loaded.metrics["value"].dtype == "float64"


def test_a_run_is_found_by_a_file_in_it(results):
    path = folder(results, "vit")
    assert ifambench.load_run(str(path / "run.json")).folder == path


def test_no_run_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError):
        ifambench.load_run(tmp_path)


def test_two_runs_are_compared_on_their_images(results):
    paths = folder(results, "vit"), folder(results, "ifam")
    rows = ifambench.compare(*paths)
    worst = rows[rows["metric"] == "worst_group_accuracy"].iloc[0]
    assert worst["delta"] == pytest.approx(60 / 200)
    assert worst["ci_low"] < worst["delta"] < worst["ci_high"]
    assert rows.attrs["verdict"].startswith("ifam")
    pd.testing.assert_frame_equal(rows, ifambench.compare(*map(ifambench.load_run, paths)))


def test_seeds_are_compared_as_a_sample(results):
    models = [folder(results, name).parent for name in ("vit", "ifam")]
    rows = ifambench.compare(*models)
    worst = rows.set_index("metric").loc["worst_group_accuracy"]
    assert worst["a_n"] == worst["b_n"] == 2
    assert worst["delta"] == pytest.approx(60 / 200)
    assert rows.attrs["warnings"]
    lists = [[folder(results, name, seed) for seed in (0, 1)] for name in ("vit", "ifam")]
    pd.testing.assert_frame_equal(rows, ifambench.compare(*lists))
    with pytest.raises(UsageError, match="force"):
        ifambench.compare(*models, force=True)


def test_leaderboard_has_a_row_per_model(results):
    rows = ifambench.leaderboard(results)
    assert rows["model"].tolist() == ["ifam", "vit"]
    assert rows["seeds"].tolist() == [2, 2]
    with pytest.raises(UsageError, match="no such results folder"):
        ifambench.leaderboard(results / "nothing")


def test_stored_runs_are_read_without_torch(results):
    code = (
        "import sys, ifambench\n"
        "assert not {'numpy', 'pandas', 'torch'} & set(sys.modules)\n"
        f"a, b = {str(folder(results, 'vit'))!r}, {str(folder(results, 'ifam'))!r}\n"
        "ifambench.load_run(a).metrics, ifambench.compare(a, b)\n"
        f"ifambench.leaderboard({str(results)!r})\n"
        "found = {'torch', 'timm', 'captum', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
