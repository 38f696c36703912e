"""Streams, places and sizes that a machine may have, and what they must not change."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.conftest import start

FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")


@pytest.mark.parametrize("columns", ["0", "1", "19"])
def test_a_width_that_holds_no_table_counts_as_not_given(cli, monkeypatch, columns):
    wide = cli("list", "metrics").out
    monkeypatch.setenv("COLUMNS", columns)
    assert cli("list", "metrics").out == wide
    assert "Usage" in cli("--help").out


def test_a_reader_of_the_help_may_go_away():
    reading, writing = os.pipe()
    os.close(reading)
    with start("--help", stdout=writing) as running:
        os.close(writing)
        _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (0, "")


@FULL
def test_an_error_that_cannot_be_told_keeps_its_exit_code():
    with open("/dev/full", "w") as full, start("show", "nothing", stderr=full) as running:
        running.communicate(timeout=30)
    assert running.returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_encoding_of_the_output_will_do(process, results, encoding):
    run = results / "waterdigits@1/ifam/standard/seed0"
    assert process("show", run, env={"PYTHONIOENCODING": encoding}).code == 0
    shown = process("list", "--format", "json", env={"PYTHONIOENCODING": encoding})
    assert json.loads(shown.out) == json.loads(process("list", "--format", "json").out)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 1 PiB"), "not enough memory: Unable to allocate 1 PiB"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "not enough memory: can't allocate memory: 9 bytes",
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "MODEL@batch_size=N"),
        (PermissionError(13, "Permission denied", "some/file"), "where: some/file"),
        (OSError(36, "File name too long", "aaa"), "File name too long"),
    ],
)
def test_what_the_machine_refuses_is_3(cli, pipeline, monkeypatch, error, said):
    def refuse(*_):
        raise error

    monkeypatch.setattr(pipeline, "run", refuse)
    shown = cli("run", "waterdigits", "--model", "vit-micro")
    assert shown.code == 3
    assert said in shown.err
    assert "internal error" not in shown.err


def test_more_threads_than_torch_survives_are_2(cli, pipeline):
    shown = cli("run", "waterdigits", "--model", "vit-micro", "--threads", 99999999999)
    assert (shown.code, pipeline.asked) == (2, [])
    assert "valid: 1 to 1024" in shown.err


def test_a_picture_that_cannot_be_written_is_told_before_it_is_drawn(cli, tmp_path):
    (tmp_path / "folder.png").mkdir()
    for out, code, said in (
        ("folder.png", 2, "is a folder"),
        ("x.jpg", 2, "does not end in .png"),
        ("/dev/null/x.png", 3, "--out)"),
    ):
        shown = cli("show", "waterdigits", "--images", 1, "--out", out)
        assert (shown.code, said in shown.err) == (code, True), shown.err
        assert "data:" not in shown.err
