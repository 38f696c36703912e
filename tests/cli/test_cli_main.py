"""Exit codes, errors and streams: what holds for every command."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from ifambench import __version__
from ifambench.cli import COMMANDS
from tests.cli.conftest import python, start
from tests.reports.golden_support import assert_golden

HEAVY = ("torch", "timm", "captum", "sklearn", "scipy", "matplotlib")


def plain(text):
    """Without colours, and without blanks at the end of lines."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


@pytest.mark.parametrize("name", ["ifambench", *COMMANDS])
def test_help_at_80_columns(name, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ["--help"] if name == "ifambench" else [name, "--help"]
    shown = cli(*words)
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    assert_golden(f"cli_{name}.txt", plain(shown.out))


def test_version(cli):
    assert cli("--version").out == f"ifambench {__version__}\n"


def test_no_arguments_show_the_help(cli):
    shown = cli()
    assert "Commands" in shown.out + shown.err


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["run"],
        ["run", "waterdigits"],
        ["run", "waterdigits", "--model", "vit-micro", "--no-such-option"],
        ["run", "waterdigits", "--model", "vit-micro", "--seed", "-1"],
        ["run", "waterdigits", "--model", "vit-micro", "--seed", "x"],
        ["run", "waterdigits", "--model", "vit-micro", "--batch-size", "0"],
        ["run", "waterdigits", "--model", "vit-micro", "--steps", "0"],
        ["run", "waterdigits", "--model", "vit-micro", "--threads", "0"],
        ["run", "waterdigits", "--model", "vit-micro", "--format", "yaml"],
        ["run", "waterdigits", "--model", "vit-micro", "--pretrained", "missing.safetensors"],
        ["list", "things"],
        ["compare", "only-one"],
    ],
)
def test_wrong_usage_is_2_and_stdout_stays_empty(words, cli, pipeline):
    shown = cli(*words)
    assert shown.code == 2
    assert shown.out == ""
    assert shown.err
    assert not pipeline.asked


def test_a_mistyped_command_is_suggested(cli):
    assert "run" in plain(cli("runn").err).partition("Did you mean")[2]


def test_an_error_says_what_where_what_is_valid_and_what_next(cli):
    shown = cli("run", "waterdigits", "--model", "vit-micr")
    assert shown.code == 2
    what, valid, then = shown.err.splitlines()
    assert what.startswith('error: unknown model "vit-micr" (did you mean vit-micro')
    assert valid.startswith("       valid: ")
    assert " vit-SIZE" in valid
    assert then == "       next:  ifambench list models"


def test_a_bug_is_4_with_one_line_and_a_traceback_in_a_file(cli, pipeline, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_MODE", "bug")
    monkeypatch.setenv("IFAMBENCH_CACHE", str(tmp_path / "cache"))
    shown = cli("run", "waterdigits", "--model", "vit-micro")
    assert shown.code == 4
    assert shown.out == ""
    lines = [line for line in shown.err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert "ZeroDivisionError: division by zero" in lines[0]
    (written,) = (tmp_path / "cache").iterdir()
    assert str(written) in lines[0]
    assert "Traceback" in written.read_text()


def test_a_bug_is_reported_when_the_cache_cannot_be_written(cli, pipeline, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FAKE_MODE", "bug")
    monkeypatch.setenv("IFAMBENCH_CACHE", str(tmp_path / "file" / "below"))
    assert "traceback: /" in cli("run", "waterdigits", "--model", "vit-micro").err


def test_a_full_disk_is_3(cli, pipeline, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "no-space")
    shown = cli("run", "waterdigits", "--model", "vit-micro")
    assert shown.code == 3
    assert "no space left" in shown.err


def test_the_entry_point_and_what_it_imports():
    code = f"""
import sys
from ifambench.cli import main
codes = [main([*words.split()]) for words in ("--help", "list", "list models", "show vit-micro")]
sys.stderr.write(repr((codes, sorted(set({HEAVY!r}) & set(sys.modules)))))
"""
    done = python(code)
    assert done.stderr == repr(([0, 0, 0, 0], []))


def test_help_imports_no_pandas_either():
    code = "import sys, ifambench.cli; print({'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    done = python(code)
    assert done.stdout.strip() == "set()"


def test_exit_codes_of_a_real_process(process, tmp_path):
    assert process("list", "suites").code == 0
    assert process("validate", tmp_path).code == 2
    assert process("run", "nothing", "--model", "vit-micro").code == 2
    assert process("run", "waterdigits", "-m", "vit-micro", "-o", "/dev/null/x").code == 3
    bug = process("run", "waterdigits", "-m", "vit-micro", fake=True, env={"FAKE_MODE": "bug"})
    assert bug.code == 4
    assert "Traceback" not in bug.err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_130_and_says_how_to_go_on(sent):
    words = ("run", "waterdigits", "-m", "vit-micro")
    with start(*words, fake=True, env={"FAKE_MODE": "slow"}) as running:
        assert running.stderr.readline() == "working\n"
        running.send_signal(sent)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert out == ""
    assert "error: interrupted" in err
    assert "next:  ifambench run waterdigits --model vit-micro" in err


def test_ctrl_c_anywhere_else_is_130_too(cli, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("ifambench.suites.catalog.suite_names", interrupt)
    shown = cli("list", "suites")
    assert shown.code == 130
    assert shown.err == "error: interrupted\n"


def test_a_reader_that_goes_away_changes_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    with start("list", stdout=writing) as running:
        os.close(writing)
        _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (0, "")


def test_the_verdict_stands_when_the_reader_goes_away(results):
    reading, writing = os.pipe()
    os.close(reading)
    sides = [results / "waterdigits@1" / name / "standard/seed0" for name in ("ifam", "vit")]
    gate = ("--max-drop", "worst_group_accuracy=1pp")
    with start("compare", *sides, *gate, stdout=writing) as running:
        os.close(writing)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert "1 of 1 gates failed" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_output_that_cannot_be_written_is_3():
    with open("/dev/full", "w") as full, start("list", stdout=full) as running:
        _, err = running.communicate(timeout=30)
    assert running.returncode == 3
    assert err == "error: no space left on the device that is written to\n"


def test_wide_tables_outside_a_terminal_unless_columns_says_less(cli, monkeypatch):
    wide = cli("list", "metrics").out
    assert 80 < max(map(len, wide.splitlines())) <= 160
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, cli("list", "metrics").out.splitlines())) <= 70


@pytest.mark.parametrize("words", [["list"], ["show", "waterdigits"], ["show", "run-schema"]])
def test_json_is_one_strict_document(words, cli):
    shown = cli(*words, "--format", "json")
    assert json.loads(shown.out, parse_constant=pytest.fail)
