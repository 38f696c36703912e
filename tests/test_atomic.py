import os
import stat
import threading
from pathlib import Path

import pytest

from ifambench import atomic
from ifambench.atomic import write_bytes_atomic, write_text_atomic
from ifambench.errors import EnvironmentProblem


def test_writes_and_makes_folders(tmp_path: Path):
    path = tmp_path / "a" / "b" / "x.txt"
    write_text_atomic(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert [item.name for item in path.parent.iterdir()] == ["x.txt"]


def test_mode_follows_the_umask(tmp_path: Path):
    old = os.umask(0o027)
    try:
        write_bytes_atomic(tmp_path / "x", b"1")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("broken", ["fsync", "replace", "interrupt"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch, broken: str):
    path = tmp_path / "x"
    write_bytes_atomic(path, b"old")
    error: BaseException = OSError(28, "No space left on device")
    if broken == "interrupt":
        error = KeyboardInterrupt()

    def fail(*_: object) -> None:
        raise error

    if broken == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(atomic.os, "fsync", fail)
    expected = KeyboardInterrupt if broken == "interrupt" else EnvironmentProblem
    with pytest.raises(expected):
        write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


def test_unwritable_place_names_path_and_next_step(tmp_path: Path):
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(EnvironmentProblem) as caught:
        write_bytes_atomic(tmp_path / "file" / "run.json", b"{}")
    assert caught.value.where == str(tmp_path / "file" / "run.json")
    assert "--output" in str(caught.value.next_step)


def test_readers_never_see_half_a_file(tmp_path: Path):
    path = tmp_path / "x"
    contents = [b"a" * 200_000, b"b" * 100_000]
    write_bytes_atomic(path, contents[0])

    def write() -> None:
        for turn in range(30):
            write_bytes_atomic(path, contents[turn % 2])

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert path.read_bytes() in contents
    writer.join()
