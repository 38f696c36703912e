"""`ifambench explain`: one image, its prediction, the table and the picture."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifambench.pipeline import run as real_run
from ifambench.progress import Progress
from ifambench.request import RunRequest
from tests.models.small_ifam import published_state, tiny_ifam
from tests.tiny import write_tiny_suite


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of a plain model."""
    root = tmp_path_factory.mktemp("trained")
    suite = str(write_tiny_suite(root))
    request = RunRequest(suite, "vit-micro", root / "runs", threads=1, images=0)
    return real_run(request, Progress()).folder


@pytest.fixture(scope="module")
def two_stage(tmp_path_factory):
    """Given weights of a two-stage model."""
    path = tmp_path_factory.mktemp("given") / "snapshot_best.pt"
    model = tiny_ifam(classes=2, img_size=64, patch_size=16, depth=1)
    torch.save({"model_state": published_state(model)}, path)
    return path


@pytest.fixture
def image(tmp_path):
    """A picture that is neither square nor of the size of the models."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    path = tmp_path / "picture.jpg"
    Image.fromarray(pixels).save(path)
    return path


def explained(cli, image, model, *more):
    return cli("explain", image, "--model", model, "--steps", 2, "--threads", 1, *more)


def test_what_it_shows(cli, trained, image):
    shown = explained(cli, image, trained, "-e", "center")
    assert shown.code == 0, shown.err
    assert re.search(r"(zero|one) +0\.\d{3}", shown.out)
    for name in ("center", "random"):
        assert re.search(rf"{name} +0\.\d{{3}} +0\.\d{{3}} +[+-]0\.\d{{3}}", shown.out)
    assert "kept" not in shown.out
    picture = Image.open("picture-explained.png")
    assert picture.format == "PNG"
    assert shown.out.rstrip().endswith("picture-explained.png")


def test_json_is_one_document(cli, trained, image):
    shown = explained(
        cli, image, trained / "run.json", "-e", "all", "--format", "json", "-o", "a.png"
    )
    content = json.loads(shown.out, parse_constant=pytest.fail)
    assert [found["class"] for found in content["prediction"]] in (["zero", "one"], ["one", "zero"])
    assert sum(found["probability"] for found in content["prediction"]) == pytest.approx(1)
    assert content["target"]["class"] == content["prediction"][0]["class"]
    names = {row["explainer"] for row in content["explainers"]}
    assert {"grad-cam", "random"} <= names
    assert "oracle-foreground" in content["left_out"]  # there is no true mask
    assert not names & set(content["left_out"])
    assert Path(content["picture"]).is_file()


def test_the_curves_are_those_of_the_library(cli, trained, image):
    """A curve of one step has only its ends: the probability of the class, and without pixels."""
    shown = explained(cli, image, trained, "-e", "center", "--steps", 1, "--format", "json")
    content = json.loads(shown.out)
    (row, other) = content["explainers"]
    assert row["deletion_auc"] == pytest.approx(row["insertion_auc"])
    assert row["srg"] == pytest.approx(0)
    assert row["deletion_auc"] == other["deletion_auc"]


@pytest.mark.parametrize("target", ["one", "1"])
def test_another_class_by_name_or_index(cli, trained, image, target):
    content = json.loads(explained(cli, image, trained, "--target", target, "--format", "json").out)
    assert (content["target"]["index"], content["target"]["class"]) == (1, "one")
    probability = {row["class"]: row["probability"] for row in content["prediction"]}
    assert content["target"]["probability"] == probability["one"]


def test_a_two_stage_model_has_its_mask_and_parts(cli, two_stage, image):
    shown = explained(cli, image, f"ckpt:{two_stage}", "--format", "json")
    assert shown.code == 0, shown.err
    content = json.loads(shown.out)
    kept = {row["explainer"]: row["area"] for row in content["explainers"]}
    assert 0 <= kept["ifam-mask"] <= 1
    assert kept["random"] is None
    assert content["prediction"][0]["class"].startswith("class ")  # nothing tells their names
    assert "kept" in explained(cli, image, f"ckpt:{two_stage}").out


def test_weights_in_a_run_folder_have_its_class_names(cli, trained, image):
    given = explained(cli, image, f"ckpt:{trained / 'weights.safetensors'}", "--format", "json")
    own = explained(cli, image, trained, "--format", "json")
    assert json.loads(given.out)["prediction"] == json.loads(own.out)["prediction"]


def test_the_same_command_gives_the_same_picture(cli, trained, image):
    for name in ("a.png", "b.png"):
        explained(cli, image, trained, "-o", name)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_what_is_wrong_is_one_clear_error(cli, trained, image, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))  # --offline sets a variable
    broken = tmp_path / "broken.png"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format="PNG")
    broken.write_bytes(buffer.getvalue()[:60])
    text = tmp_path / "text.png"
    text.write_text("no image")
    for words, code, said in (
        (("missing.png", "--model", trained), 2, "no such image"),
        ((tmp_path, "--model", trained), 2, "a folder is not an image"),
        ((text, "--model", trained), 3, "no known format"),
        ((broken, "--model", trained), 3, "cannot be read"),
        ((image, "--model", "vit-micro"), 2, "no weights to explain"),
        ((image, "--model", "vit-mikro"), 2, "unknown model"),
        ((image, "--model", "ckpt:missing.pt"), 3, "no weights file"),
        ((image, "--model", tmp_path), 2, "no run in this folder"),
        ((image, "--model", trained, "--target", "two"), 2, 'no class "two"'),
        ((image, "--model", trained, "--target", "2"), 2, "0 to 1"),
        ((image, "--model", trained, "-e", "gradcam"), 2, "did you mean grad-cam"),
        ((image, "--model", trained, "-e", "ifam-mask"), 2, "selection"),
        ((image, "--model", trained, "-e", "oracle-foreground"), 2, "true masks"),
        ((image, "--model", trained, "-o", "a.jpg"), 2, ".png"),
        ((text, "--model", trained, "-o", text), 2, "the image itself"),
        ((image, "--model", trained, "-o", "/dev/null/a.png"), 3, "cannot write"),
        ((image, "--model", trained, "--steps", "0"), 2, "--steps"),
        ((image, "--model", trained, "--device", "gpu"), 2, "is not a device"),
        ((image, "--model", "hf-hub:no/such", "--offline"), 3, "not on this machine"),
    ):
        shown = cli("explain", *words)
        assert (shown.code, shown.out) == (code, ""), (words, shown.err)
        assert said in shown.err
        assert "Traceback" not in shown.err
    assert not Path("picture-explained.png").exists()


def test_a_model_that_needs_the_true_object_is_refused(cli, image, tmp_path):
    suite = str(write_tiny_suite(tmp_path))
    request = RunRequest(suite, "oracle-vit-micro", tmp_path / "runs", threads=1, images=0)
    shown = explained(cli, image, real_run(request, Progress()).folder)
    assert shown.code == 2
    assert "true object" in shown.err


def test_a_run_that_is_not_there_or_has_no_weights(cli, trained, image, tmp_path):
    shown = explained(cli, image, tmp_path / "nothing")
    assert (shown.code, shown.out) == (2, "")
    assert "there is no run" in shown.err
    (tmp_path / "run").mkdir()
    for path in trained.iterdir():
        if path.name != "weights.safetensors":
            (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    shown = explained(cli, image, tmp_path / "run")
    assert (shown.code, shown.out) == (3, "")
    assert "--fresh" in shown.err
    assert "--weights" not in shown.err  # no option of this command
