"""Stored tables as Parquet, with and without pyarrow."""

import importlib.util

import pandas as pd
import pytest

from ifambench.errors import EnvironmentProblem
from ifambench.records.store import load_run
from ifambench.reports.parquet import write_parquet
from tests.compare_support import outcomes, run, store


@pytest.fixture
def folder(tmp_path):
    return store(tmp_path, run(outcomes((19, 20), (12, 20))))


def test_without_pyarrow_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"ifambench\[parquet\]"):
        write_parquet(folder)
    assert not list(folder.glob("*.parquet"))


def test_the_tables_come_back(folder):
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    written = write_parquet(folder)
    assert [path.name for path in written] == ["predictions.parquet", "explanations.parquet"]
    stored = load_run(folder).predictions
    found = pd.read_parquet(written[0])
    pd.testing.assert_frame_equal(found, stored, check_dtype=False)
