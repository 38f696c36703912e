"""What a request means: names that change nothing, commands that repeat it, given weights."""

import shlex

import pytest
import torch

from ifambench.cli.next_run import next_command
from ifambench.errors import UsageError
from ifambench.models.catalog import choose_model
from ifambench.pipeline import make_plan, run, train
from ifambench.progress import Progress
from ifambench.request import RunRequest
from tests.models.small_ifam import published_state, tiny_ifam
from tests.tiny import write_tiny_suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return str(write_tiny_suite(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """A published snapshot for the suite, in a folder with a space and an @."""
    path = tmp_path_factory.mktemp("given") / "of @me" / "snapshot_best.pt"
    path.parent.mkdir()
    model = tiny_ifam(classes=2, img_size=64, patch_size=16, depth=1)
    torch.save({"model_state": published_state(model)}, path)
    return path


def plan(suite, tmp_path, model, **changes):
    return make_plan(RunRequest(suite, model, tmp_path, threads=1, **changes))


@pytest.mark.parametrize(
    "model",
    [
        "vit-micro@keep_fraction=0.2",
        "vit-micro@num_parts=8",
        "oracle-vit-micro@keep_fraction=0.2",
        "pdiscoformer-vit-micro@mask_gradient=soft",
        "gradcam-vit-micro@mask_coverage=0.2",
        "vit-micro+probe@epochs=3",
        "vit-micro@jtt_epochs=3",
    ],
)
def test_a_name_that_changes_nothing_is_refused(suite, tmp_path, model):
    with pytest.raises(UsageError, match="changes nothing"):
        plan(suite, tmp_path, model)


@pytest.mark.parametrize("model", ["ifam-vit-micro", "pdiscoformer-vit-micro"])
def test_parts_are_not_trained_on_a_handful_of_patches(suite, tmp_path, model):
    with pytest.raises(UsageError, match="16 pixels have 2 x 2"):
        plan(suite, tmp_path, f"{model}@image_size=16")
    assert plan(suite, tmp_path, f"{model}@image_size=24").view.image_size == 24


@pytest.mark.parametrize(
    "model",
    [
        "ifam-vit-micro@mask_erosion=1,num_parts=8",
        "gradcam-vit-micro@keep_fraction=0.2",
        "late-vit-micro@mask_coverage=0.2",
        "vit-micro+probe@init=pretrained,probe_strengths=1+2",
    ],
)
def test_the_command_repeats_the_request(suite, tmp_path, model):
    found = plan(suite, tmp_path, model, seed=3, images=2, steps=3, size="default")
    words = shlex.split(found.command())
    assert words[:5] == ["ifambench", "run", suite, "--model", model]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    assert given == {
        "--seed": "3",
        "--images": "2",
        "--steps": "3",
        "--threads": "1",
        "--output": str(tmp_path),
    }
    assert choose_model(words[4]) == found.choice


def test_a_run_of_given_weights(suite, snapshot, tmp_path):
    asked = RunRequest(suite, f"ckpt:{snapshot}", tmp_path, images=2, steps=2, threads=1)
    found = run(asked, Progress())
    weights = found.record.model.weights
    name = "ckpt-of_@me--snapshot_best"
    assert found.folder == tmp_path / "tinydigits@1" / name / "standard" / "seed0"
    assert weights.source == f"ckpt:{snapshot}"
    assert weights.sha256 == make_plan(asked).weights_sha256
    assert found.record.model.labels_needed == "unknown"
    assert len(found.predictions) == 72
    assert not (found.folder / "weights.safetensors").exists()
    assert shlex.split(found.record.command)[4] == f"ckpt:{snapshot}"
    assert next_command(found) == "ifambench list models"
    again = run(asked, Progress())
    assert again.record.finished_at == found.record.finished_at


def test_given_weights_are_not_trained(suite, snapshot, tmp_path):
    with pytest.raises(UsageError, match="nothing is trained") as caught:
        train(RunRequest(suite, f"ckpt:{snapshot}", tmp_path), Progress())
    assert caught.value.next_step.startswith("ifambench run ")
    assert not list(tmp_path.iterdir())


def test_given_weights_start_from_no_backbone(suite, snapshot, tmp_path):
    with pytest.raises(UsageError, match="does not start from a backbone"):
        plan(suite, tmp_path, f"ckpt:{snapshot}", pretrained=snapshot)
