import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifambench.errors import EnvironmentProblem
from ifambench.predict.journal import Journal, finished

ROWS = [{"id": "é", "value": 0.1 + 0.2, "none": None, "list": [1e-300, -0.0]}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work" / "journal.jsonl"


def test_comes_back(path) -> None:
    Journal(path, "key").put("a", ROWS)
    journal = Journal(path, "key")
    assert journal.get("a") == ROWS
    assert journal.get("b") is None
    assert json.loads(path.read_text().partition("\n")[0]) == {"key": "key"}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_exact(tmp_path_factory, value: float) -> None:
    path = tmp_path_factory.mktemp("exact") / "j"
    Journal(path, "key").put("a", [{"x": value}])
    back = Journal(path, "key").get("a")[0]["x"]
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


def test_every_kill_leaves_whole_chunks(path) -> None:
    journal = Journal(path, "key")
    ends = [path.stat().st_size]
    for name in "abc":
        journal.put(name, ROWS)
        ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        resumed = Journal(path, "key")
        kept = [name for name in "abc" if resumed.get(name)]
        assert kept == list("abc")[: sum(end <= size for end in ends[1:])]
        resumed.put("d", ROWS)  # overwrites what was cut off
        again = Journal(path, "key")
        assert [name for name in "abcd" if again.get(name)] == [*kept, "d"]


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"[1]\n", b'{"chunk":"x"}\n', b"{}\n"])
def test_damaged_lines_end_the_journal(path, garbage: bytes) -> None:
    Journal(path, "key").put("a", ROWS)
    path.write_bytes(path.read_bytes() + garbage)
    assert Journal(path, "key").get("a") == ROWS
    assert path.read_bytes().count(b"\n") == 2


def test_another_key_starts_afresh(path) -> None:
    Journal(path, "one").put("a", ROWS)
    assert Journal(path, "two").get("a") is None
    assert Journal(path, "one").get("a") is None


def test_rows_must_be_plain(path) -> None:
    journal = Journal(path, "key")
    with pytest.raises(ValueError, match="JSON"):
        journal.put("a", [{"x": math.nan}])
    assert journal.get("a") is None
    assert Journal(path, "key").get("a") is None


def test_unwritable_place(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="journal"):
        Journal(tmp_path / "file" / "j", "key")


def test_finished_makes_once(path) -> None:
    made = []

    def make() -> list:
        made.append(1)
        return ROWS

    for _ in range(2):
        assert finished(Journal(path, "key"), "a", make) == ROWS
    assert len(made) == 1
    assert finished(None, "a", make) == ROWS
