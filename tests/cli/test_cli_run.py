from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.plan import make_plan
from ifambench.request import RunRequest
from tests.compare_support import outcomes, run, store

BASIC = ("run", "waterdigits", "--model", "vit-micro")


def test_options_reach_the_pipeline(cli, pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # so that what the command sets is undone
    weights = tmp_path / "w.safetensors"
    weights.touch()
    shown = cli(
        *("run", "waterdigits", "--model", "vit-micro+groupdro", "--protocol", "standard"),
        *("--explainer", "grad-cam", "-e", "random", "--seed", 3, "--images", 8, "--steps", 4),
        *("--size", "400", "--batch-size", 16, "--device", "cuda:1", "--threads", 2),
        *("--pretrained", weights, "--output", tmp_path / "out", "--fresh"),
        *("--skip-bad-images", "--offline"),
    )
    assert shown.code == 0, shown.err
    assert pipeline.asked == [
        RunRequest(
            suite="waterdigits",
            model="vit-micro+groupdro",
            output=tmp_path / "out",
            protocol="standard",
            seed=3,
            explainers=("grad-cam", "random"),
            images=8,
            steps=4,
            size="400",
            batch_size=16,
            device="cuda:1",
            threads=2,
            pretrained=weights,
            fresh=True,
            skip_bad_images=True,
        )
    ]


def test_the_defaults_are_those_of_the_request(cli, pipeline):
    cli(*BASIC)
    assert pipeline.asked == [RunRequest("waterdigits", "vit-micro", Path("runs"))]


def test_what_a_run_shows(cli, pipeline):
    shown = cli(*BASIC)
    assert shown.code == 0
    assert "vit-micro on waterdigits (protocol standard, seed 0)" in shown.out
    assert re.search(r"water \*? .*0\.60.*<- worst", shown.out)
    assert "group-mean accuracy" in shown.out
    report = "runs/waterdigits@1/vit-micro/standard/seed0/report.html"
    assert re.search(rf"{report} +[\d.]+ s", shown.out)
    lines = shown.err.splitlines()
    assert re.fullmatch(r"train: 3 in [\d.]+ s \(loss 0\.25\)", lines[0])
    assert lines[1] == "weights are reused"
    assert lines[2].startswith("next: ifambench run waterdigits --model ")
    assert len(lines) == 3


def test_the_second_run_suggests_the_comparison(cli, pipeline):
    cli(*BASIC)
    shown = cli("run", "waterdigits", "--model", "ifam-vit-micro")
    folder = "runs/waterdigits@1/{}/standard/seed0"
    wanted = f"{folder.format('vit-micro')} {folder.format('ifam-vit-micro')}"
    assert f"next: ifambench compare {wanted}" in shown.err
    assert cli(*shown.err.rpartition("next: ifambench ")[2].split()).code == 0
    assert f"next: ifambench compare {wanted}" in cli(*BASIC).err


def test_json_is_one_document_with_the_record(cli, pipeline):
    shown = cli(*BASIC, "--format", "json")
    content = json.loads(shown.out, parse_constant=pytest.fail)
    assert content["folder"] == "runs/waterdigits@1/vit-micro/standard/seed0"
    assert content["record"]["status"] == "complete"
    assert "train: 3" in shown.err


def test_a_partial_run_is_5(cli, pipeline, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "partial")
    shown = cli(*BASIC)
    assert shown.code == 5
    assert "partial" in shown.err
    assert "<- worst" in shown.out


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["run", "waterdigits", "--model", "vit-mikro"], "did you mean vit-micro"),
        (["run", "waterdigits", "--model", "vit-micro+groupdr"], "did you mean groupdro"),
        (["run", "waterdigits", "--model", "ifam-vit-micro+dfr"], "valid: ifam"),
        ([*BASIC, "--explainer", "gradcam"], "did you mean grad-cam"),
        ([*BASIC, "--protocol", "standart"], "did you mean standard"),
        ([*BASIC, "--size", "10"], "at least 200"),
        ([*BASIC, "--device", "gpu"], "valid: auto, cpu, mps, cuda"),
        (["run", "nowhere/suite.toml", "--model", "vit-micro"], "ifambench list suites"),
    ],
)
def test_unknown_names_are_2_before_any_work(words, suggestion, cli, pipeline):
    shown = cli(*words)
    assert shown.code == 2
    assert suggestion in shown.err
    assert not pipeline.asked
    assert not Path("runs").exists()


def test_an_output_that_cannot_be_written_is_3_before_any_work(cli, pipeline, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        shown = cli(*BASIC, "--output", output)
        assert shown.code == 3
        assert f"where: {output}" in shown.err
    assert not pipeline.asked


def test_checking_the_output_leaves_nothing(tmp_path):
    from ifambench.cli.request import check_writable

    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    with pytest.raises(EnvironmentProblem):
        check_writable(Path("/proc/nothing/here"))


def test_precedence_is_option_environment_file_default(cli, pipeline, monkeypatch):
    Path("ifambench.toml").write_text('output = "file"\nthreads = 2\nbatch_size = 8\n')
    cli(*BASIC)
    monkeypatch.setenv("IFAMBENCH_OUTPUT", "environment")
    cli(*BASIC)
    cli(*BASIC, "--output", "option")
    assert [str(asked.output) for asked in pipeline.asked] == ["file", "environment", "option"]
    assert {(asked.threads, asked.batch_size) for asked in pipeline.asked} == {(2, 8)}


def test_train_prints_the_weights(cli, pipeline):
    shown = cli("train", "waterdigits", "--model", "vit-micro", "--seed", 2)
    assert (shown.code, shown.out) == (0, "runs/weights.safetensors\n")
    assert pipeline.asked[0].seed == 2
    content = cli("train", "waterdigits", "--model", "vit-micro", "--format", "json").out
    assert json.loads(content) == {"weights": "runs/weights.safetensors"}


def test_train_refuses_what_run_refuses(cli, pipeline):
    assert cli("train", "waterdigits", "--model", "nothing").code == 2
    assert not pipeline.asked


def test_pretrain(cli, monkeypatch):
    import types
    from dataclasses import make_dataclass

    fields = ["suite", "output", "seed", "steps", "threads"]
    fake = types.ModuleType("ifambench.train.pretrain")
    fake.PretrainRequest = make_dataclass("PretrainRequest", fields)
    fake.pretrain = lambda request, progress: Path(f"{request.output}.safetensors")
    monkeypatch.setitem(__import__("sys").modules, "ifambench.train.pretrain", fake)
    assert cli("pretrain", "waterdigits").out == "runs/backbone-waterdigits.safetensors\n"
    assert cli("pretrain", "waterdigits", "-o", "x/y", "--steps", 5).out == "x/y.safetensors\n"
    assert cli("pretrain", "nothing").code == 2
    assert cli("pretrain", "waterdigits", "-o", "/dev/null/x/y").code == 3


def test_score(cli, tmp_path):
    folder = store(tmp_path, run(outcomes((19, 20), (12, 20))))
    assert "<- worst" in cli("score", folder).out
    assert (folder / "report.html").is_file()
    assert cli("score", folder / "run.json", "--check", "--format", "json").code == 0
    content = json.loads((folder / "run.json").read_text())
    content["metrics"][0]["value"] = 0.123
    (folder / "run.json").write_text(json.dumps(content))
    shown = cli("score", folder, "--check")
    assert (shown.code, shown.out) == (1, "")
    assert content["metrics"][0]["metric"] in shown.err
    assert str(folder) in shown.err


def test_score_of_no_run_names_those_near_by(cli, pipeline, tmp_path):
    folder = store(tmp_path, run(outcomes((19, 20), (12, 20))))
    shown = cli("score", folder.parent / "seed9")
    assert shown.code == 2
    assert str(folder) in shown.err


def test_a_backbone_that_is_not_there_is_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("missing.safetensors", "timm:resnet50.a1_in1k"):
        with pytest.raises(UsageError):
            make_plan(RunRequest("waterdigits", "vit-micro", tmp_path, pretrained=Path(given)))
