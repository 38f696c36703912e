"""The sweep over models and seeds on Ray."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).resolve().parents[1] / "benchmarks" / "many_runs.py")


def sweep(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [SCRIPT, "waterdigits", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(SCRIPT, run_name="__main__")
    return caught.value.code


def test_without_ray_the_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert sweep(monkeypatch, "--model", "vit-micro", "--seeds", 0, "--output", tmp_path) == 3
    assert "ifambench[ray]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_failed_run_does_not_stop_the_others(monkeypatch, capsys, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    words = ("--model", "no-such-model", "--model", "vit-micro", "--seeds", 0, "--size", 200)
    assert sweep(monkeypatch, *words, "--output", tmp_path) == 5
    shown = capsys.readouterr()
    assert "unknown model" in shown.err
    assert (tmp_path / "waterdigits@1/vit-micro/standard/seed0/run.json").is_file()
    assert "seed0" in shown.out
