"""Run the shell lines of workflows and of the action as a runner would, without GitHub.

`make`, `pip` and the slow commands are stand-ins that write down what they are called with.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_STAND_IN = """\
#!{python} -IS
import json, os, sys
name, words = {name!r}, sys.argv[1:]
if name != "python" or words[:2] == ["-m", "pip"]:
    with open({calls!r}, "a") as file:
        file.write(json.dumps([name, *words]) + chr(10))
if name == "python" and words[:2] != ["-m", "pip"]:
    os.execv({python!r}, [{python!r}, *words])
if name == "ifambench" and words[0] in os.environ.get("REAL", "").split():
    os.execv({python!r}, [{python!r}, "-m", "ifambench", *words])
if name == "ifambench" and words[0] == "run":
    sys.stdout.write(open({reply!r}).read())
sys.exit(int(os.environ.get(words[0].upper() + "_CODE", 0)))
"""


def content(path: Path) -> dict[str, Any]:
    """A workflow or action file; YAML 1.1 reads the key `on` as true."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in found.items()}


def jobs(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The steps of each job; those of the action are one job."""
    found = content(path)
    parts = {"action": found["runs"]} if "runs" in found else found["jobs"]
    return {name: job["steps"] for name, job in parts.items()}


def run_steps() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, job and step of everything that a shell runs."""
    for path in (ACTION, *WORKFLOWS):
        for job, steps in jobs(path).items():
            yield from ((path.name, job, step) for step in steps if "run" in step)


def step_named(path: Path, job: str, name: str) -> dict[str, Any]:
    """The step of a job with this name."""
    return next(step for step in jobs(path)[job] if step.get("name") == name)


@dataclass
class Result:
    """What a job did: exit code of the first step that failed, and all that was printed."""

    code: int = 0
    out: str = ""
    err: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)


class Machine:
    """A runner: a working directory, its temporary files, and stand-ins on PATH."""

    def __init__(self, place: Path) -> None:
        self.work, self.temp = place / "work place", place / "temp"
        self.calls_file, self.reply = place / "calls.jsonl", place / "run.json"
        self.summary = place / "summary.md"
        self.more: dict[str, str] = {}
        for folder in (self.work, self.temp, place / "bin"):
            folder.mkdir()
        for file in (self.calls_file, self.reply, self.summary):
            file.touch()
        for name in ("python", "make", "ifambench"):
            self._stand_in(place / "bin" / name)
        self.bin = place / "bin"

    def _stand_in(self, path: Path) -> None:
        files = {"calls": str(self.calls_file), "reply": str(self.reply)}
        path.write_text(_STAND_IN.format(python=sys.executable, name=path.name, **files))
        path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The words of every call of a stand-in so far."""
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    def action(self, inputs: Mapping[str, str], only: str = "", **outputs: str) -> Result:
        """Run the steps of action.yml, or one of them, after a step `run` with these outputs."""
        declared = content(ACTION)["inputs"]
        assert set(inputs) <= set(declared)
        given = {
            name: inputs.get(name, value.get("default", "")) for name, value in declared.items()
        }
        steps = [step for step in jobs(ACTION)["action"] if only in step.get("name", "")]
        return self.job(steps, given, Result(outputs={"run": dict(outputs)}))

    def job(
        self,
        steps: list[dict[str, Any]],
        inputs: Mapping[str, str] | None = None,
        result: Result | None = None,
    ) -> Result:
        """Run the shell steps of a job until one fails; others are left out."""
        done = result or Result()
        for step in steps:
            if "run" in step and _wanted(step.get("if", ""), inputs or {}):
                known = _known(inputs or {}, done.outputs)
                env = {key: _filled(value, known) for key, value in step.get("env", {}).items()}
                self._step(step, env, done)
            if done.code:
                break
        return done

    def _step(self, step: Mapping[str, Any], env: Mapping[str, str], done: Result) -> None:
        script, output = self.temp / "step.sh", self.temp / "output"
        script.write_text(step["run"])
        output.write_text("")
        shown = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=self.work,
            env={**self._environment(output), **self.more, **env},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        done.code, done.out, done.err = shown.returncode, done.out + shown.stdout, shown.stderr
        done.ran.append(step["name"])
        if "id" in step:
            lines = output.read_text().splitlines()
            done.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)

    def _environment(self, output: Path) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }


def _known(inputs: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found = {f"inputs.{name}": value for name, value in inputs.items()}
    for step, values in outputs.items():
        found |= {f"steps.{step}.outputs.{name}": value for name, value in values.items()}
    return found


def _filled(text: str, known: Mapping[str, str]) -> str:
    """The value with its expressions; one that names nothing is an error, unlike on GitHub."""
    return _EXPRESSION.sub(lambda found: known[found[1]], text)


def _wanted(condition: str, inputs: Mapping[str, str]) -> bool:
    """`inputs.NAME != ''`, joined by `||`; conditions on the state of the job hold."""
    if not condition or "success()" in condition:
        return True
    tests = [re.fullmatch(r"inputs\.([\w-]+) != ''", part) for part in condition.split(" || ")]
    assert all(tests), condition
    return any(inputs[found[1]] != "" for found in tests if found)


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters of an `ifambench` command; an unknown command or option is an error."""
    from typer.main import get_command

    from ifambench.cli import app

    group = get_command(app)
    context = group.make_context("ifambench", list(words[1:2]))
    command = group.get_command(context, words[1])
    assert command is not None, words
    return dict(command.make_context(words[1], list(words[2:]), parent=context).params)
