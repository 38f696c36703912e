"""What the commands print, byte by byte: narrow, wide, a pipe, a terminal, and every format."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ifambench.cli.options import Format
from tests.cli.conftest import ROOT
from tests.reports import synthetic
from tests.reports.golden_support import assert_golden

COMMANDS = {
    "score": ("score", "ifam"),
    "report": ("report", "ifam"),
    "show": ("show", "ifam"),
    "list_runs": ("list", "runs", "--results", "results"),
}
TEXTS = [item.value for item in Format if item not in (Format.table, Format.json)]


@pytest.fixture
def place(results: Path, tmp_path: Path) -> Path:
    """The stored runs, and one of them beside them, as the working directory."""
    shutil.copytree(results, tmp_path / "results")
    shutil.copytree(results / "waterdigits@1" / "ifam" / "standard" / "seed0", tmp_path / "ifam")
    return tmp_path


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with explanations and background swaps, whose tables are wide."""
    monkeypatch.chdir(tmp_path)
    return synthetic.write_run(Path("synthetic"))


def stable(text: str) -> str:
    """The text without what differs from run to run."""
    return re.sub(r"(report\.html   )[\d.]+ s", r"\1TIME", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_tables_in_a_pipe(cli, place, name):
    shown = cli(*COMMANDS[name])
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert_golden(f"output_{name}.txt", shown.out)


@pytest.mark.parametrize("width", [80, 200])
def test_wide_tables_lose_columns_but_no_digit(cli, wide, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = cli("show", wide)
    assert shown.code == 0
    summary = shown.out[: shown.out.index("synthetic: complete")]
    assert max(map(len, summary.splitlines())) <= width
    assert ("Not shown for lack of width" in summary) is (width == 80)
    assert_golden(f"output_wide_{width}.txt", shown.out)


@pytest.mark.parametrize("style", TEXTS)
@pytest.mark.parametrize("name", ["score", "report", "list_runs"])
def test_texts_for_elsewhere(cli, place, name, style):
    shown = cli(*COMMANDS[name], "--format", style)
    assert shown.code == 0
    assert_golden(f"output_{name}.{style}.txt", shown.out)


def test_the_summary_of_a_run(cli, pipeline):
    shown = cli("run", "waterdigits", "--model", "ifam-vit-micro", "--output", "runs")
    assert shown.code == 0
    assert_golden("output_run.txt", stable(shown.out))


def test_the_job_summary_of_a_run(cli, pipeline, tmp_path, monkeypatch):
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    words = ("run", "waterdigits", "--model", "ifam-vit-micro", "--output", "runs")
    assert cli(*words, "--format", "github").code == 0
    assert_golden("output_run_job_summary.md", stable(file.read_text(encoding="utf-8")))


def strict(text: str) -> object:
    """Parse JSON as RFC 8259 has it: no NaN, no infinity, no name twice."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in items}) == len(items)
        return dict(items)

    def constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=constant, object_pairs_hook=pairs)


@pytest.mark.parametrize(
    "words",
    [
        *COMMANDS.values(),
        *(("list", kind) for kind in ("suites", "models", "explainers", "metrics")),
        ("leaderboard", "--results", "results"),
        ("compare", "vit", "ifam", "--results", "results"),
        ("compare", "ifam", "results/waterdigits@1/vit/standard/seed0"),
        ("run", "waterdigits", "--model", "ifam-vit-micro", "--output", "runs"),
    ],
    ids=" ".join,
)
def test_json_is_one_strict_document(cli, place, pipeline, words):
    shown = cli(*words, "--format", "json")
    assert shown.code == 0
    assert strict(shown.out)


def test_the_strict_parser_refuses_what_is_not_json():
    for text in ('{"a": NaN}', "[Infinity]", '{"a": 1, "a": 2}'):
        with pytest.raises(AssertionError):
            strict(text)


def test_json_and_csv_of_a_run_hold_the_stored_numbers(cli, place):
    stored = strict((place / "ifam" / "run.json").read_text(encoding="utf-8"))
    assert strict(cli("show", "ifam", "--format", "json").out) == stored
    rows = list(csv.DictReader(io.StringIO(cli("show", "ifam", "--format", "csv").out)))
    assert [row["metric"] for row in rows] == [row["metric"] for row in stored["metrics"]]
    values = [float(row["value"]) if row["value"] else None for row in rows]
    assert values == [row["value"] for row in stored["metrics"]]


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_has_colours_unless_no_color_is_set(place, colour):
    leader, follower = pty.openpty()
    environ = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"}
    environ |= {} if colour else {"NO_COLOR": "1"}
    command = [sys.executable, "-m", "ifambench", "score", "nowhere"]
    env = {**os.environ, **environ}
    with subprocess.Popen(command, stdout=follower, stderr=follower, cwd=place, env=env) as running:
        os.close(follower)
        assert running.wait(timeout=60) == 2
    shown = os.read(leader, 65_536).decode()
    os.close(leader)
    assert "error: " in re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert bool(re.search(r"\x1b\[[\d;]*3\d", shown)) is colour
