"""The whole flow for real, on a small draw of the embedded suite."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ifambench.cli import main
from ifambench.records.store import load_run
from tests.cli.conftest import start

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ifambench.pipeline") is None, reason="there is no pipeline yet"
)

SMALL = ("--size", "200", "--images", "4", "--steps", "2", "--threads", "1", "--device", "cpu")
MODELS = ("vit-micro", "ifam-vit-micro")


def command(model, output, *more):
    return ("run", "waterdigits", "--model", model, "--output", output, *SMALL, *more)


def folder(output, model):
    return output / "waterdigits@1" / model / "standard" / "seed0"


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Runs of a baseline and of iFAM."""
    root = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        assert main([str(word) for word in command(model, root)]) == 0
    return root


def metrics(path):
    return [row.model_dump() for row in load_run(path).record.metrics]


@pytest.mark.parametrize("model", MODELS)
def test_a_run_is_complete(output, model):
    run = load_run(folder(output, model))
    assert run.record.status == "complete"
    assert set(run.explanations["explainer"]) >= {"random"}
    assert run.predictions["variant"].nunique() == 6
    names = {path.name for path in run.folder.iterdir()}
    assert {"report.html", "report.md", "weights.safetensors", "training.csv"} <= names
    assert "work" not in names


def test_the_same_command_reuses_it(output, cli):
    before = (folder(output, "vit-micro") / "run.json").read_bytes()
    shown = cli(*command("vit-micro", output), "--format", "json")
    assert shown.code == 0
    assert "reused" in shown.err
    assert json.loads(shown.out, parse_constant=pytest.fail)["record"]["status"] == "complete"
    assert (folder(output, "vit-micro") / "run.json").read_bytes() == before


def test_another_request_in_the_same_folder_is_2(output, cli):
    shown = cli(*command("vit-micro", output), "--size", "300")
    assert shown.code == 2
    assert "--fresh" in shown.err


def test_score_agrees_until_a_number_is_changed(output, cli, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(folder(output, "vit-micro"), copy)
    assert cli("score", copy, "--check").code == 0
    content = json.loads((copy / "run.json").read_text())
    row = next(row for row in content["metrics"] if row["metric"] == "accuracy")
    row["value"] += 0.01
    (copy / "run.json").write_text(json.dumps(content))
    shown = cli("score", copy, "--check")
    assert shown.code == 1
    assert "accuracy" in shown.err
    assert cli("score", copy).code == 0
    assert cli("score", copy, "--check").code == 0


def test_compare_report_show_and_leaderboard(output, cli):
    sides = [folder(output, model) for model in MODELS]
    shown = cli("compare", *sides, "--format", "json")
    assert shown.code == 0
    assert json.loads(shown.out, parse_constant=pytest.fail)["verdict"]
    assert cli("report", sides[0]).code == 0
    assert cli("show", sides[1]).code == 0
    assert cli("leaderboard", "--results", output).code == 0
    assert cli("leaderboard", "--results", output, "--check").code == 0


def test_an_interrupted_run_goes_on_and_gives_the_same_numbers(output, cli, tmp_path):
    words = command("vit-micro", tmp_path)
    with start(*words) as running:
        for line in running.stderr:
            if line.startswith("data:"):  # so training has begun
                break
        time.sleep(1)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "next:  ifambench run waterdigits --model vit-micro" in err
    assert json.loads((folder(tmp_path, "vit-micro") / "run.json").read_text())["status"] in (
        "interrupted",
        "started",
    )
    assert cli(*words).code == 0
    assert metrics(folder(tmp_path, "vit-micro")) == metrics(folder(output, "vit-micro"))


def test_weights_that_are_damaged_are_3(cli, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not weights")
    shown = cli(*command("vit-micro", tmp_path), "--pretrained", bad)
    assert shown.code == 3
    assert str(bad) in shown.err
    assert not list(Path(tmp_path).glob("waterdigits@1/**/report.html"))


def test_train_alone(cli, tmp_path):
    words = ("train", "waterdigits", "--model", "vit-micro", "--output", tmp_path)
    shown = cli(*words, "--size", "200", "--threads", "1", "--device", "cpu")
    assert shown.code == 0, shown.err
    assert Path(shown.out.strip()).is_file()


def test_the_next_command_keeps_the_size(output, capsys):
    """Runs on another draw could not be compared."""
    from ifambench.cli.next_run import _run_command

    words = _run_command(load_run(folder(output, "vit-micro"))).split()
    assert words[words.index("--size") + 1] == "200"
    assert "--skip-bad-images" not in words


def test_the_next_command_leaves_out_bad_images_too(output):
    """Else it would stop at the first."""
    from ifambench.cli.next_run import _run_command

    run = load_run(folder(output, "vit-micro"))
    record = run.record.model_copy(update={"command": f"{run.record.command} --skip-bad-images"})
    assert "--skip-bad-images" in _run_command(replace(run, record=record)).split()
