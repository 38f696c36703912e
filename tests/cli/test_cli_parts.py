"""`ifambench parts` and `ifambench masks`: a stored two-stage model is evaluated again."""

from __future__ import annotations

import json

import pytest

from tests.stored_model import store_model


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return store_model(tmp_path_factory.mktemp("stored"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return store_model(tmp_path_factory.mktemp("plain"), "vit-micro")


def test_parts_as_json(cli, stored):
    shown = cli("parts", stored, "--remove-parts", "0,2", "--format", "json", "--device", "cpu")
    assert shown.code == 0
    found = json.loads(shown.out)
    assert [item["parts"] for item in found["removals"]] == [[0], [1], [2], [0, 2]]
    assert (found["images"], found["num_parts"]) == (24, 3)
    empty = [item["empty"] for item in (found["whole"], *found["removals"])]
    named = zip(["nothing", "0", "1", "2", "0+2"], empty, strict=True)
    listed = ", ".join(f"{name}: {n}" for name, n in named if n)
    assert listed
    assert found["warnings"] == [f"images without any patch left, by what is removed: {listed}"]
    assert set(found["whole"]["groups"]) == {
        "zero_on_land",
        "zero_on_water",
        "one_on_land",
        "one_on_water",
    }


@pytest.mark.parametrize("style", ["table", "markdown", "github"])
def test_parts_as_text(cli, stored, style):
    shown = cli("parts", stored, "--format", style, "--device", "cpu")
    assert shown.code == 0
    assert "tinydigits without some of its parts" in shown.out
    assert "Accuracy by group" in shown.out
    assert "nothing" in shown.out


def test_thresholds_are_from_the_training_images(cli, stored):
    words = ("--quantile", "0.5", "--format", "json", "--device", "cpu")
    ours, official = (
        json.loads(cli("parts", stored, *words, "--compat", compat).out)
        for compat in ("none", "official")
    )
    assert (ours["quantile"], ours["compat"]) == (0.5, "none")
    assert official["compat"] == "official"
    # other predictions than those that were stored are meant
    assert not any("stored" in text for text in ours["warnings"])


def test_thresholds_and_empty_selections_are_said_in_the_narrowest_table(cli, stored, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    words = ("--quantile", "1", "--compat", "official", "--device", "cpu")
    shown = cli("parts", stored, *words)
    assert "quantile 1, dot products for scores" in " ".join(shown.out.split())
    assert "Warning: images without any patch left" in shown.out + shown.err


def test_masks_as_json(cli, stored):
    words = ("masks", stored, "--samples", "3", "--format", "json", "--device", "cpu")
    one, other = (json.loads(cli(*words, "--batch-size", size).out) for size in (24, 7))
    assert one == other
    assert (one["samples"], one["seed"]) == (3, 0)
    found = {row["metric"]: row for row in one["metrics"] if row["group"] == "all"}
    assert {"accuracy", "noisy_accuracy", "noisy_accuracy_std", "noise_flip_rate"} < found.keys()
    assert found["noisy_accuracy"]["n"] == 24


def test_masks_as_table(cli, stored):
    shown = cli("masks", stored, "--samples", "2", "--device", "cpu")
    assert shown.code == 0
    assert "worst-group accuracy" in shown.out
    assert "What the noise changes" in shown.out


@pytest.mark.parametrize("command", ["parts", "masks"])
def test_other_models_are_refused(cli, plain, command):
    shown = cli(command, plain, "--device", "cpu")
    assert shown.code == 2
    assert "two-stage" in shown.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--remove-parts", "7"], "no part 7"),
        (["--remove-parts", "x"], "does not name parts"),
        (["--device", "tpu"], "is not a device"),
        (["--weights", "missing.safetensors"], "missing.safetensors"),
        (["--quantile", "2"], "--quantile"),
        (["--compat", "official"], "--quantile Q"),
    ],
)
def test_wrong_usage_is_2(cli, stored, words, message):
    shown = cli("parts", stored, *words)
    assert shown.code == 2
    assert message in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("command", ["parts", "masks"])
def test_other_models_are_refused_before_their_weights_are_looked_for(cli, plain, command):
    (plain / "weights.safetensors").unlink(missing_ok=True)
    shown = cli(command, plain, "--device", "cpu")
    assert shown.code == 2
    assert "two-stage" in shown.err
