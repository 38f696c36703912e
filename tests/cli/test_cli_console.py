from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from ifambench.cli import progress_view
from ifambench.cli.console import emit, json_text
from ifambench.cli.options import Format
from ifambench.cli.progress_view import PlainProgress, RichProgress, shown_progress
from ifambench.reports.section import Column, Section

TABLE = Section("t", "Title", (Column("name", "left"), Column("n")), (("a|b", "1"),))


def test_json_is_strict():
    data = {"a": math.nan, "b": [math.inf, np.float64(0.5), np.int64(2)], 3: (None, np.bool_(True))}
    text = json_text(data)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, 0.5, 2],
        "3": [None, True],
    }


def test_emit_in_each_format(capsys):
    emit(Format.table, {}, [TABLE, TABLE], heading="Heading", lines=["below"])
    shown = capsys.readouterr().out
    assert shown.startswith("Heading\n\nTitle")
    assert shown.endswith("\n\nbelow\n")
    emit(Format.markdown, {}, [TABLE], heading="Heading", lines=["a*b"])
    shown = capsys.readouterr().out
    assert shown.startswith("# Heading\n\n## Title\n\n| name | n |")
    assert shown.endswith("| a\\|b | 1 |\n\na\\*b\n")
    emit(Format.json, {"x": 1}, [TABLE], lines=["below"])
    assert json.loads(capsys.readouterr().out) == {"x": 1}


def test_annotations_are_escaped_and_at_most_ten(capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    many = {f"100 %\nline {k}": "error" for k in range(12)}
    emit(Format.github, {}, [], annotations=many)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(lines) == 10
    assert lines[0] == "::error title=ifambench::100 %25%0Aline 0"


def test_markup_in_names_is_shown_as_it_is(capsys):
    emit(Format.table, {}, [], lines=["[bold]x[/bold] [red]"])
    assert capsys.readouterr().out == "[bold]x[/bold] [red]\n"


def test_no_color_and_no_terminal_give_no_escape_codes(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    emit(Format.table, {}, [TABLE], heading="Heading")
    assert "\x1b" not in capsys.readouterr().out


def recorded(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)


def phases(progress):
    progress.start("train", 4)
    progress.advance(2, "loss 0.5")
    progress.advance(2)
    progress.message("[kept]")
    progress.start("predict", 10)
    progress.advance(3)


def test_outside_a_terminal_each_phase_is_one_line():
    console = recorded(terminal=False)
    with shown_progress(console) as progress:
        assert isinstance(progress, PlainProgress)
        phases(progress)
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("train: 4 in 0.")
    assert lines[0].endswith("s (loss 0.5)")
    assert lines[1] == "[kept]"
    assert lines[2].startswith("predict: 3 of 10 in 0.")
    assert len(lines) == 3


def test_a_long_phase_speaks_once_a_minute(monkeypatch):
    console, now = recorded(terminal=False), [0.0]
    monkeypatch.setattr(progress_view.time, "monotonic", lambda: now[0])
    progress = PlainProgress(console)
    progress.start("train", 1000)
    for second in range(130):
        now[0] = float(second)
        progress.advance()
    assert len(console.file.getvalue().splitlines()) == 2


def test_a_terminal_gets_bars():
    console = recorded(terminal=True)
    with shown_progress(console) as progress:
        assert isinstance(progress, RichProgress)
        phases(progress)
    shown = console.file.getvalue()
    assert "4/4" in shown
    assert "3/10" in shown
    assert "[kept]" in shown
    assert "loss 0.5" in shown


def test_progress_before_any_phase_is_no_error():
    for progress in (PlainProgress(recorded(False)), RichProgress(recorded(True))):
        progress.advance()
        progress.close()


def test_a_failure_closes_the_progress():
    console = recorded(terminal=False)

    def fail():
        with shown_progress(console) as progress:
            progress.start("train", 4)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert console.file.getvalue().startswith("train: 0 of 4 in")
