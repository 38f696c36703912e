import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ifambench.errors import EnvironmentProblem
from ifambench.records.lock import HOLDER_FILE, LOCK_FILE, run_lock

HOLD = """
import sys
from pathlib import Path
from ifambench.records.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_released_and_cleaned(tmp_path: Path):
    folder = tmp_path / "run"
    with run_lock(folder):
        holder = json.loads((folder / HOLDER_FILE).read_text())
        assert holder["pid"] == os.getpid()
        assert (folder / LOCK_FILE).exists()
    assert list(folder.iterdir()) == []
    with run_lock(folder):
        pass


def test_released_after_an_error(tmp_path: Path):
    with pytest.raises(RuntimeError), run_lock(tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_second_process_is_told_who_holds_it(tmp_path: Path):
    process = _holder(tmp_path)
    try:
        with pytest.raises(EnvironmentProblem) as caught, run_lock(tmp_path):
            pass
        assert f"process {process.pid} on " in caught.value.what
        assert "since 20" in caught.value.what
        assert caught.value.where == str(tmp_path)
        assert "wait" in str(caught.value.next_step)
    finally:
        process.communicate("\n", timeout=10)
    with run_lock(tmp_path):
        pass


def test_lock_of_a_killed_process_does_not_block(tmp_path: Path):
    process = _holder(tmp_path)
    process.kill()
    process.communicate(timeout=10)
    assert (tmp_path / HOLDER_FILE).exists()
    with run_lock(tmp_path):
        assert json.loads((tmp_path / HOLDER_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_unreadable_holder_still_says_what_to_do(tmp_path: Path):
    with run_lock(tmp_path):
        (tmp_path / HOLDER_FILE).write_text("{")
        with pytest.raises(EnvironmentProblem, match="another process"), run_lock(tmp_path):
            pass


def test_unwritable_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot lock"), run_lock(tmp_path / "file"):
        pass
