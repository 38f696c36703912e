import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ifambench.errors import EnvironmentProblem
from ifambench.records.schema import Table
from ifambench.records.tables import read_table, write_table
from tests.records.records_support import small_predictions


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_round_trip_is_exact(tmp_path: Path, name: str):
    frame = small_predictions()
    table = write_table(tmp_path / name, frame)
    back = read_table(tmp_path / name, table)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert table.rows == len(frame)
    assert table.file == name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1))
def test_every_double_comes_back(tmp_path: Path, values: list[float]):
    frame = pd.DataFrame({"x": np.array(values, dtype="float64")})
    write_table(tmp_path / "t.csv", frame)
    back = read_table(tmp_path / "t.csv")["x"].to_numpy(dtype="float64")
    assert np.array_equal(back, np.array(values))


def test_float32_keeps_its_value(tmp_path: Path):
    values = np.random.default_rng(0).random(100).astype("float32")
    write_table(tmp_path / "t.csv", pd.DataFrame({"x": values}))
    back = read_table(tmp_path / "t.csv")["x"].to_numpy()
    assert np.array_equal(back, values.astype("float64"))


def test_floats_are_short(tmp_path: Path):
    write_table(tmp_path / "t.csv", pd.DataFrame({"x": [0.1, 2.5, np.nan]}))
    assert (tmp_path / "t.csv").read_text() == 'x\n0.1\n2.5\n""\n'


def test_bytes_are_deterministic_and_the_digest_is_of_the_text(tmp_path: Path):
    first, second = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    table = write_table(first, small_predictions())
    write_table(second, small_predictions())
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[3:8] == b"\0\0\0\0\0"  # no name flag, time 0
    assert table.sha256 == hashlib.sha256(gzip.decompress(first.read_bytes())).hexdigest()


def test_empty_table_keeps_its_columns(tmp_path: Path):
    write_table(tmp_path / "t.csv.gz", pd.DataFrame(columns=["id", "group", "srg"]))
    back = read_table(tmp_path / "t.csv.gz")
    assert list(back.columns) == ["id", "group", "srg"]
    assert back.empty


def _truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [_truncate, _flip, lambda _: b"", lambda _: b"not gzip"])
def test_damaged_files_are_named(tmp_path: Path, damage):
    path = tmp_path / "predictions.csv.gz"
    write_table(path, small_predictions())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EnvironmentProblem) as caught:
        read_table(path)
    assert "predictions.csv.gz" in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.next_step


def test_another_table_is_refused(tmp_path: Path):
    path = tmp_path / "t.csv"
    table = write_table(path, small_predictions())
    write_table(path, small_predictions().head(2))
    with pytest.raises(EnvironmentProblem, match="sha256 differs"):
        read_table(path, table)


def test_missing_and_unreadable_text(tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match=r"cannot read t\.csv"):
        read_table(tmp_path / "t.csv", Table(file="t.csv", rows=0, sha256=""))
    (tmp_path / "t.csv").write_bytes(b"id,x\n\xff\xfe,1\n")
    with pytest.raises(EnvironmentProblem, match="damaged"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2,3\n1,2,3,4\n")
    with pytest.raises(EnvironmentProblem, match="damaged"):
        read_table(tmp_path / "t.csv")
