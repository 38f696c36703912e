"""Workflows and the action: their shell lines are run here, with stand-ins for what is slow."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib

import numpy as np
import pytest
import yaml
from compare_support import outcomes, run, store
from workflow_support import (
    ACTION,
    ROOT,
    WORKFLOWS,
    Machine,
    content,
    jobs,
    parsed,
    run_steps,
    step_named,
)

from ifambench.cli import main
from ifambench.records.store import read_record

if not ACTION.is_file():
    pytest.skip("workflows are only in a clone of the repository", allow_module_level=True)

TESTS, LEADERBOARD = (
    ROOT / ".github/workflows" / name for name in ("tests.yml", "leaderboard.yml")
)
DOCUMENT = ROOT / "docs/ci.md"
RESULTS = ROOT / "results"
TOOLS = {path.name: path for path in (ACTION, *WORKFLOWS)}
STEPS = list(run_steps())
NAMES = [f"{file}: {step['name']}" for file, _, step in STEPS]
NASTY = "$(touch pwned) `touch pwned`; touch pwned \"'* ?"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A better and a worse run, and the leaderboard of both; do not write into it."""
    root = tmp_path_factory.mktemp("stored") / "results"
    for name, water in (("good", 180), ("bad", 120)):
        store(root, run(outcomes((190, 200), (water, 200)), model=name))
    assert main(["leaderboard", "--results", str(root)]) == 0
    return root


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def ready(machine, stored):
    """A runner with committed results, on which `ifambench run` answers with the worse run."""
    shutil.copytree(stored, machine.work / "results")
    folder = "results/waterdigits@1/bad/standard/seed0"
    record = read_record(machine.work / folder).model_dump(mode="json")
    machine.reply.write_text(json.dumps({"folder": folder, "record": record}))
    return machine


def folder(name):
    return f"results/waterdigits@1/{name}/standard/seed0"


# What a file says


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(path):
    found = content(path)
    assert found["permissions"] == {"contents": "read"}
    assert "group" in found["concurrency"]
    assert {"push", "pull_request"} <= set(found["on"])
    assert "pull_request_target" not in found["on"]
    for job in found["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert "permissions" not in job


@pytest.mark.parametrize("path", TOOLS.values(), ids=TOOLS)
def test_actions_are_pinned_by_commit_and_say_their_version(path):
    lines = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert lines
    for line in lines:
        assert line == "./" or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_one_version_of_an_action_is_used():
    text = "".join(path.read_text(encoding="utf-8") for path in TOOLS.values())
    pins = set(re.findall(r"uses: (actions/[\w-]+)@(\w+ # .+)", text))
    assert len(pins) == len({name for name, _ in pins}) == 3


def test_a_checkout_keeps_no_token():
    for path in WORKFLOWS:
        for steps in jobs(path).values():
            checkouts = [step for step in steps if "checkout" in step.get("uses", "")]
            assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


@pytest.mark.parametrize(("file", "job", "step"), STEPS, ids=NAMES)
def test_no_expression_becomes_code(file, job, step):
    assert "${{" not in step["run"]


@pytest.mark.parametrize(("file", "job", "step"), STEPS, ids=NAMES)
def test_a_script_is_bash_and_stops_at_the_first_error(file, job, step):
    shell = step.get("shell") or content(TOOLS[file]).get("defaults", {}).get("run", {}).get(
        "shell"
    )
    lines = step["run"].splitlines()
    assert shell == "bash" or len(lines) == 1
    assert len(lines) == 1 or lines[0] == "set -euo pipefail"
    done = subprocess.run(["bash", "-n"], input=step["run"], text=True, check=False)
    assert done.returncode == 0


def test_every_script_is_run_below():
    assert {(file, job, step["name"]) for file, job, step in STEPS} == {
        ("action.yml", "action", "Check the inputs"),
        ("action.yml", "action", "Install ifambench"),
        ("action.yml", "action", "Run the suite"),
        ("action.yml", "action", "Check the gates"),
        ("tests.yml", "tests", "Format, lint, types, tests"),
        ("leaderboard.yml", "records", "Install"),
        ("leaderboard.yml", "records", "Score every committed run again"),
        ("leaderboard.yml", "records", "Check the leaderboard"),
    }


def test_oldest_python_and_cached_files_are_those_of_the_project():
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    versions = content(TESTS)["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == oldest
    for path in WORKFLOWS:
        for steps in jobs(path).values():
            caches = [
                step["with"]["cache-dependency-path"]
                for step in steps
                if "setup-python" in step.get("uses", "")
            ]
            assert all((ROOT / name).is_file() for text in caches for name in text.split())


# tests.yml


def test_tests_are_those_of_the_makefile(machine):
    assert machine.job(jobs(TESTS)["tests"]).code == 0
    (call,) = machine.calls
    makefile = (ROOT / "Makefile").read_text()
    targets = [word for word in call[1:] if "=" not in word]
    assert targets == ["test"]
    assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in targets)
    variables = [word.partition("=")[0] for word in call[1:] if "=" in word]
    assert all(re.search(rf"^{name} \?=", makefile, re.MULTILINE) for name in variables)


# leaderboard.yml, committed records


def test_untouched_results_pass(ready):
    shutil.rmtree(ready.work / folder("bad"))
    assert main(["leaderboard", "--results", str(ready.work / "results")]) == 0
    ready.more = {"REAL": "score leaderboard"}
    done = ready.job(jobs(LEADERBOARD)["records"])
    assert (done.code, len(done.ran)) == (0, 3), done.err
    summary = ready.summary.read_text()
    assert "1 committed runs were scored again, 0 of them failed." in summary
    assert "results: up to date" in summary
    assert "# Leaderboard" in summary
    assert ready.calls[0] == ["python", "-m", "pip", "install", "-c", "constraints.txt", "."]
    assert all(parsed(call) for call in ready.calls if call[0] == "ifambench")


def test_a_changed_number_fails_by_name(ready):
    path = ready.work / folder("bad") / "run.json"
    record = json.loads(path.read_text())
    record["metrics"][0]["value"] += 0.01
    path.write_text(json.dumps(record))
    ready.more = {"REAL": "score leaderboard"}
    steps = jobs(LEADERBOARD)["records"]
    scored = ready.job([step_named(LEADERBOARD, "records", "Score every committed run again")])
    assert scored.code == 1
    named = (
        f"::error file={folder('bad')}/run.json,title=ifambench::score --check ended with code 1"
    )
    assert [line for line in scored.out.splitlines() if "::" in line] == [named]
    assert "2 committed runs were scored again, 1 of them failed." in ready.summary.read_text()
    checked = ready.job([steps[-1]])
    assert checked.code == 1
    assert "waterdigits@1/bad/standard/seed0: " in checked.out
    assert "success() || failure()" in steps[-1]["if"]  # the second says it too


def test_no_committed_run_at_all_fails(machine):
    (machine.work / "results").mkdir()
    assert (
        machine.job([step_named(LEADERBOARD, "records", "Score every committed run again")]).code
        == 1
    )
    assert machine.calls == []


def test_every_record_is_tried_and_annotations_are_escaped(machine):
    names = [f"results/m@a=1,b={index}/run.json" for index in range(2)]
    for name in names:
        (machine.work / name).parent.mkdir(parents=True)
        (machine.work / name).touch()
    machine.more = {"SCORE_CODE": "3"}
    steps = [step_named(LEADERBOARD, "records", "Score every committed run again")]
    done = machine.job(steps)
    assert done.code == 1
    assert [call[-1] for call in machine.calls] == names
    assert "::error file=results/m@a=1%2Cb=0/run.json,title=" in done.out
    assert "2 committed runs were scored again, 2 of them failed." in done.out


# leaderboard.yml, the gate


def gate_inputs():
    (step,) = [step for step in jobs(LEADERBOARD)["gate"] if step.get("uses") == "./"]
    return step["with"]


def test_the_gate_gives_the_action_what_it_takes(ready):
    inputs = gate_inputs()
    assert ready.action(inputs).code == 0
    wanted = {call[1]: parsed(call) for call in ready.calls if call[0] == "ifambench"}
    assert wanted["run"]["suite"] == "waterdigits"
    assert wanted["run"]["model"] == "ifam-vit-micro"
    assert wanted["run"]["offline"] is True
    assert ready.calls[-1][-2:] == [inputs["baseline"], folder("bad")]
    assert wanted["compare"]["max_drop"] == [inputs["max-drop"]]


def test_the_gate_repeats_the_committed_command():
    path = ROOT / gate_inputs()["baseline"]
    if not path.is_dir():
        pytest.skip("no committed results here")
    ours = parsed(
        [
            "ifambench",
            "run",
            "waterdigits",
            "--model=ifam-vit-micro",
            *gate_inputs()["args"].split(),
        ]
    )
    theirs = parsed(shlex.split(read_record(path).command))
    free = {"output", "offline"}
    assert {key for key in ours if ours[key] != theirs[key]} <= free


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no committed results here")
class TestTolerance:
    """Wide enough for one more training seed, too narrow for a worse method."""

    def code(self, capsys, model, seed):
        found = gate_inputs()
        gates = [f"--max-drop={found['max-drop']}", f"--fail-under={found['fail-under']}"]
        side = RESULTS / "waterdigits@1" / model / "standard" / f"seed{seed}"
        code = main(["compare", str(ROOT / found["baseline"]), str(side), *gates])
        capsys.readouterr()
        return code

    def test_it_covers_what_one_more_seed_would_give(self):
        from scipy.stats import t

        model = (ROOT / gate_inputs()["baseline"]).parent
        records = [read_record(folder) for folder in sorted(model.glob("seed*"))]
        values = [
            row.value
            for record in records
            for row in record.metrics
            if row.metric == "worst_group_accuracy"
        ]
        n, spread = len(values), np.std(values, ddof=1)
        low = np.mean(values) - t.ppf(0.975, n - 1) * spread * np.sqrt(1 + 1 / n)
        tolerance = float(re.search(r"=(.+)pp", gate_inputs()["max-drop"])[1]) / 100
        assert n >= 5
        assert values[0] - tolerance <= low
        assert float(gate_inputs()["fail-under"].partition("=")[2]) <= low

    @pytest.mark.parametrize("seed", [0, 2, 4])
    def test_other_seeds_pass(self, capsys, seed):
        assert self.code(capsys, "ifam-vit-micro", seed) == 0

    @pytest.mark.parametrize("model", ["vit-micro", "ifam-vit-micro@mask_gradient=soft"])
    def test_worse_methods_fail(self, capsys, model):
        assert self.code(capsys, model, 0) == 1


def test_the_report_is_kept_also_when_the_gate_fails():
    step = step_named(LEADERBOARD, "gate", "Keep the report")
    assert step["if"] == "(success() || failure()) && steps.gate.outputs.run != ''"
    assert step["with"]["path"] == "${{ steps.gate.outputs.run }}/report.html"
    ids = [found.get("id") for found in jobs(LEADERBOARD)["gate"]]
    assert "gate" in ids
    assert "run" in content(ACTION)["outputs"]


# action.yml


def test_the_action_measures_compares_and_fails(ready):
    ready.more = {"REAL": "show compare"}
    inputs = {
        "suite": "waterdigits",
        "model": "ckpt:some folder/weights.safetensors",
        "baseline": "good",
        "max-drop": "\n  worst_group_accuracy=1pp  \n\nworst_group_accuracy = 50 %\n",
        "args": "--seed 3\n--protocol standard",
    }
    done = ready.action(inputs)
    assert done.code == 1
    assert done.outputs["run"]["worst-group-accuracy"] == "0.6"
    assert done.outputs["run"]["run"] == folder("bad")
    levels = [line.partition(" ")[0] for line in done.out.splitlines() if line.startswith("::")]
    assert levels.count("::error") == 1
    summary = ready.summary.read_text()
    assert "# bad on waterdigits" in summary
    assert summary.index("# bad on waterdigits") < summary.index("## Gates")
    install, ran, shown, compared = ready.calls
    assert install[:4] == ["python", "-m", "pip", "install"]
    assert install[4:] == ["-c", str(ROOT / "constraints.txt"), str(ROOT)]
    assert (ROOT / "constraints.txt").is_file()
    wanted = parsed(ran)
    assert wanted["model"] == inputs["model"]
    assert (wanted["seed"], wanted["protocol"], wanted["format"]) == (3, "standard", "json")
    assert parsed(shown)["name"] == folder("bad")
    assert len(parsed(compared)["max_drop"]) == 2


def test_a_floor_needs_no_baseline(ready):
    ready.more = {"REAL": "compare"}
    floors = "accuracy=0.5\nworst_group_accuracy=0.61"
    given = {"suite": "x", "model": "y", "fail-under": floors}
    outputs = {"run": folder("bad"), "suite": "waterdigits"}
    done = ready.action(given, "Check the gates", **outputs)
    assert done.code == 1
    assert "::error title=ifambench::ifambench compare ended with code 1" in done.out
    summary = ready.summary.read_text()
    assert summary.startswith("## Gates")
    assert "| accuracy >= 0.5 | ok |" in summary
    assert "| worst_group_accuracy >= 0.61 | failed |" in summary


def test_inputs_are_never_code(ready):
    (ready.work / "x").touch()  # what a bare ? would become
    names = ("suite", "model", "baseline", "fail-under", "max-drop", "args")
    done = ready.action({name: NASTY for name in names} | {"strict": "true"})
    assert done.code == 0, done.err
    assert not list(ready.work.rglob("pwned"))
    ran, _, compared = (call for call in ready.calls if call[0] == "ifambench")
    assert ran[1:] == ["run", *NASTY.split(), f"--model={NASTY}", "--format=json", "--", NASTY]
    gates = [f"--fail-under={NASTY}", f"--max-drop={NASTY}", "--strict"]
    tail = ["--format=github", "--", NASTY, folder("bad")]
    assert compared[1:] == ["compare", "--suite=waterdigits", *gates, *tail]


def test_without_a_gate_nothing_is_compared(ready):
    done = ready.action({"suite": "waterdigits", "model": "vit-micro"})
    assert done.code == 0
    assert [call[1] for call in ready.calls if call[0] == "ifambench"] == ["run", "show"]
    assert "Check the gates" not in done.ran


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"model": "m"}, "input suite"),
        ({"suite": "s"}, "input model"),
        ({"suite": "s", "model": "m", "max-drop": "accuracy=1pp"}, "input baseline"),
        ({"suite": "s", "model": "m", "strict": "yes"}, "input strict"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_run(machine, inputs, message):
    done = machine.action(inputs)
    assert (done.code, machine.calls) == (2, [])
    assert done.out.startswith("::error title=ifambench::")
    assert message in done.out


@pytest.mark.parametrize(("code", "shown"), [(5, True), (3, False), (1, False)])
def test_a_run_that_does_not_end_well_fails_with_its_code(ready, code, shown):
    ready.more = {"RUN_CODE": str(code)}
    done = ready.action({"suite": "s", "model": "m", "fail-under": "accuracy=0.1"})
    assert done.code == code
    assert done.ran[-1] == "Run the suite"
    assert f"ifambench run ended with code {code}" in done.out
    assert bool(done.outputs["run"]) is shown  # what is there of a partial run is shown
    assert ("show" in [call[1] for call in ready.calls]) is shown


def test_an_undefined_worst_group_is_an_empty_output(ready):
    reply = json.loads(ready.reply.read_text())
    reply["record"]["metrics"] = []
    ready.reply.write_text(json.dumps(reply))
    done = ready.action({"suite": "s", "model": "m"})
    assert done.outputs["run"]["worst-group-accuracy"] == ""


def test_errors_are_among_the_annotations_that_are_shown(capsys, monkeypatch):
    from ifambench.cli.console import emit
    from ifambench.cli.options import Format

    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    many = {f"gate {index}": "notice" for index in range(12)} | {"the one": "error"}
    emit(Format.github, {}, [], annotations=many)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "::error title=ifambench::the one"
    assert lines[1].endswith("::gate 0")


# docs/ci.md


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def steps_in(found):
    steps = found if isinstance(found, list) else found.get("steps") or []
    jobs_in = {} if isinstance(found, list) else found.get("jobs", {})
    return [*steps, *(step for job in jobs_in.values() for step in job["steps"])]


def test_documented_steps_use_inputs_that_exist():
    declared = set(content(ACTION)["inputs"])
    used = [step for text in blocks("yaml") for step in steps_in(yaml.safe_load(text))]
    ours = [step for step in used if "/ifambench@" in step.get("uses", "")]
    assert len(ours) >= 2
    assert all(set(step["with"]) <= declared for step in ours)
    assert all(f"`{name}`" in DOCUMENT.read_text() for name in declared)
    outputs = set(re.findall(r"steps\.gate\.outputs\.([\w-]+)", DOCUMENT.read_text()))
    assert outputs <= set(content(ACTION)["outputs"])


def test_documented_commands_exist():
    scripts = blocks("bash") + [
        step["run"]
        for text in blocks("yaml")
        for step in steps_in(yaml.safe_load(text))
        if "run" in step
    ]
    text = "\n".join(scripts).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("ifambench")]
    assert lines
    for line in lines:
        parsed(shlex.split(line.replace("$seed", "0")))


def test_the_documented_settings_can_be_read(tmp_path):
    from ifambench.gates import parse_drop, parse_floor
    from ifambench.settings import option_defaults

    for text in blocks("toml"):
        (tmp_path / "ifambench.toml").write_text(text)
        found = option_defaults(tmp_path, "compare")
        assert [parse_floor(gate) for gate in found["fail_under"]]
        assert [parse_drop(gate) for gate in found["max_drop"]]
