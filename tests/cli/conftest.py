from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import ifambench
from ifambench.cli import main
from ifambench.settings import SETTINGS
from tests.cli import fake_pipeline
from tests.compare_support import explanations, outcomes, run, store

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _plain_place(tmp_path, monkeypatch):
    """An empty working directory, and no variable of the machine that changes anything."""
    monkeypatch.chdir(tmp_path)
    names = [setting.env for setting in SETTINGS if setting.env]
    for name in [*names, "IFAMBENCH_SUITES", "GITHUB_STEP_SUMMARY", "FORCE_COLOR", "COLUMNS"]:
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(
            name, str(tmp_path / "of the user")
        )  # not suites and data of the machine


@pytest.fixture
def cli(capsys):
    """Run a command in this process, through `main` as the entry point does."""

    def call(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        shown = capsys.readouterr()
        return Result(code, shown.out, shown.err)

    return call


@pytest.fixture
def pipeline(monkeypatch):
    """The stand-in for the pipeline; its `asked` holds the requests."""
    fake_pipeline.asked.clear()
    monkeypatch.setitem(sys.modules, "ifambench.pipeline", fake_pipeline)
    monkeypatch.setattr(ifambench, "pipeline", fake_pipeline, raising=False)
    monkeypatch.delenv("FAKE_MODE", raising=False)
    return fake_pipeline


def start(*words: object, fake: bool = False, **options) -> subprocess.Popen:
    """A real process with the command line, on the stand-in for the pipeline if `fake`."""
    program = [str(ROOT / "tests/cli/fake_pipeline.py")] if fake else ["-m", "ifambench"]
    environ = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, *program, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        text=True,
        env={**os.environ, **environ},
        **options,
    )


@pytest.fixture
def process():
    """Run a command in a process of its own."""

    def call(*words: object, **options) -> Result:
        with start(*words, **options) as running:
            out, err = running.communicate(timeout=60)
        return Result(running.returncode, out or "", err)

    return call


def python(code: str) -> subprocess.CompletedProcess:
    """Run a program in a process of its own."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environ)


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """Three seeds of a model `vit`, two of a better model `ifam`; do not write into it."""
    root = tmp_path_factory.mktemp("results")
    maps = explanations({"random": 0.0, "ifam-mask": 0.4})
    for seed, water in enumerate((120, 124, 118)):
        store(root, run(outcomes((190, 200), (water, 200)), model="vit", seed=seed))
    for seed, water in enumerate((180, 184)):
        store(root, run(outcomes((191, 200), (water, 200)), maps, model="ifam", seed=seed))
    return root
