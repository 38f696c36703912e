"""Training: the same seed gives the same weights, also after a kill; pretraining."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch

from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.backbones import find_backbone, load_backbone, shipped_backbones
from ifambench.models.catalog import choose_model
from ifambench.models.timm_vit import build_vit
from ifambench.models.weights import load_weights
from ifambench.progress import Progress
from ifambench.train import fit as fit_module
from ifambench.train.fit import FitPlan, fit
from ifambench.train.order import epoch_order
from ifambench.train.pretrain import PretrainRequest, pretrain
from ifambench.train.recipes import recipe_for
from ifambench.train.steps import even_over
from tests.tiny import tiny_suite, write_tiny_suite


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    request = PretrainRequest(str(write_tiny_suite(folder)), folder / "small", seed=3, steps=2)
    return find_backbone(str(pretrain(request, Progress())))


def plan(data, model, seed=0, backbone=None):
    choice = choose_model(model)
    protocol = data.suite.protocol["standard"]
    return FitPlan(choice, recipe_for(data.suite, choice.family), protocol, backbone, seed, "test")


def fitted(data, folder, model="vit-micro", seed=0, backbone=None):
    return fit(plan(data, model, seed, backbone), data, folder, torch.device("cpu"), Progress())


@pytest.mark.parametrize("model", ["vit-micro", "vit-micro+groupdro", "ifam-vit-micro"])
def test_the_seed_decides_the_weights(data, backbone, tmp_path, model):
    given = backbone if model.startswith("ifam") else None
    first = fitted(data, tmp_path / "a", model, 0, given)
    again = fitted(data, tmp_path / "b", model, 0, given)
    other = fitted(data, tmp_path / "c", model, 1, given)
    assert first.sha256 == again.sha256 != other.sha256
    columns = [name for name in first.table if name != "seconds"]
    pd.testing.assert_frame_equal(first.table[columns], again.table[columns])


class StopsAt(Progress):
    """Interrupts at a training step."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, steps=1, note=""):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("model", ["vit-micro+groupdro", "ifam-vit-micro"])
@pytest.mark.parametrize("steps", [5, 6])
def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(
    data, backbone, tmp_path, model, steps
):
    given = backbone if model.startswith("ifam") else None
    whole = fitted(data, tmp_path / "whole", model, 0, given)
    with pytest.raises(KeyboardInterrupt):
        fit(
            plan(data, model, 0, given), data, tmp_path / "cut", torch.device("cpu"), StopsAt(steps)
        )
    progress = StopsAt(10**9)
    resumed = fit(
        plan(data, model, 0, given), data, tmp_path / "cut", torch.device("cpu"), progress
    )
    assert 10**9 - progress.left < 8  # a training from its start would take 8 steps
    assert resumed.sha256 == whole.sha256
    assert len(resumed.table) == len(whole.table)


def test_finished_weights_are_reused_only_by_the_same_plan(data, tmp_path, monkeypatch):
    first = fitted(data, tmp_path)
    monkeypatch.setattr(
        fit_module, "train_by_gradient", lambda *_, **__: pytest.fail("trained again")
    )
    assert fitted(data, tmp_path).sha256 == first.sha256
    monkeypatch.undo()
    assert fitted(data, tmp_path, seed=1).sha256 != first.sha256


def test_a_damaged_weights_file_is_trained_again(data, tmp_path):
    first = fitted(data, tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert fitted(data, tmp_path).sha256 == first.sha256


def test_stage_1_keeps_the_backbone_and_both_stages_start_from_it(data, backbone, tmp_path):
    from safetensors.torch import load_file

    model = fitted(data, tmp_path, "ifam-vit-micro", 0, backbone).model
    given = load_file(backbone.path)
    assert all(torch.equal(model.stage_1.vit.state_dict()[k], v) for k, v in given.items())
    moved = [not torch.equal(model.stage_2.vit.state_dict()[k], v) for k, v in given.items()]
    assert all(moved)


def test_divergence_is_refused(data, tmp_path):
    wild = plan(data, "vit-micro")
    recipe = wild.recipe.__class__(**{**vars(wild.recipe), "lr": 1e30, "clip": 1e30})
    wild = FitPlan(wild.choice, recipe, wild.protocol, None, 0, "test")
    with pytest.raises(EnvironmentProblem, match="diverged"):
        fit(wild, data, tmp_path, torch.device("cpu"), Progress())
    assert not (tmp_path / "weights.safetensors").exists()


def test_an_epoch_draws_every_image_once_or_the_groups_evenly():
    torch.manual_seed(0)
    plain = torch.cat(epoch_order(103, 10, None))
    assert len(plain) == 100 == len(plain.unique())
    group = torch.tensor([0] * 950 + [1] * 50)
    balanced = torch.cat(epoch_order(1000, 10, even_over(group)))
    assert 0.4 < group[balanced].float().mean() < 0.6
    assert len(epoch_order(5, 10, None)) == 1


class Told(Progress):
    def __init__(self):
        self.texts = []

    def message(self, text):
        self.texts.append(text)


def changed(data, **fields):
    return FitPlan(**(vars(plan(data, "vit-micro")) | fields))


def test_a_changed_plan_trains_again_and_says_so(data, tmp_path):
    first, told = fitted(data, tmp_path), Told()
    again = fit(changed(data, seed=5), data, tmp_path, torch.device("cpu"), told)
    assert first.reused is again.reused is False
    assert any("are replaced" in text for text in told.texts)


def test_weights_of_another_machine_are_not_thrown_away(data, tmp_path):
    first, told = fitted(data, tmp_path), Told()
    again = fit(changed(data, compute="9 GPUs"), data, tmp_path, torch.device("cpu"), told)
    assert (again.reused, again.sha256, again.facts) == (True, first.sha256, first.facts)
    assert again.trained_on == plan(data, "vit-micro").compute
    assert first.trained_on is None
    assert any("weights reused, trained on" in text for text in told.texts)


def test_what_takes_over_weights_of_another_machine_says_so(data, tmp_path):
    places = {"folder_of": lambda label: tmp_path / label, "device": torch.device("cpu")}
    fit(changed(data, compute="9 GPUs"), data, tmp_path / "vit-micro", progress=Told(), **places)
    later = plan(data, "vit-micro+dfr")
    for reused in (False, True):
        found = fit(later, data, tmp_path / "dfr", progress=Told(), **places)
        assert (found.reused, found.trained_on) == (reused, "9 GPUs")


def test_pretraining_is_reproducible_and_describes_itself(backbone, tmp_path):
    described = json.loads(backbone.path.with_suffix(".json").read_text())
    assert described["sha256"] == backbone.sha256
    assert described["seed"] == 3
    assert list(described["loss"]) == ["2"]
    request = PretrainRequest(str(write_tiny_suite(tmp_path)), tmp_path / "b", seed=3, steps=2)
    assert find_backbone(str(pretrain(request, Progress()))).sha256 == backbone.sha256
    other = PretrainRequest(str(write_tiny_suite(tmp_path)), tmp_path / "c", seed=4, steps=2)
    assert find_backbone(str(pretrain(other, Progress()))).sha256 != backbone.sha256


def test_the_encoder_is_pretrained_without_positions(backbone):
    from safetensors.torch import load_file

    assert not load_file(backbone.path)["pos_embed"].any()


def test_shipped_backbones_are_what_their_description_says():
    for name, described in shipped_backbones().items():
        found = find_backbone(name)
        assert found.sha256 == described["sha256"]
        assert found.path.stat().st_size < 1_000_000
        load_backbone(found, build_vit(num_classes=0, image_size=64).vit)


def test_wrong_weights_files_get_one_clear_error(tmp_path, backbone):
    vit = build_vit(num_classes=0, image_size=64).vit
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(backbone.path.read_bytes()[:5000])
    with pytest.raises(EnvironmentProblem, match="not a whole safetensors file"):
        load_backbone(find_backbone(str(cut)), vit)
    with pytest.raises(EnvironmentProblem, match="another model"):
        load_weights(backbone.path, build_vit(num_classes=2, image_size=64))
    with pytest.raises(UsageError, match="no pretrained backbone"):
        find_backbone("nothing-here")
    _save_nan(tmp_path / "nan.safetensors", vit)
    with pytest.raises(EnvironmentProblem, match="not finite"):
        load_backbone(find_backbone(str(tmp_path / "nan.safetensors")), vit)


def _save_nan(path, vit):
    from safetensors.torch import save_file

    tensors = {k: v.clone() for k, v in vit.state_dict().items()}
    tensors["norm.weight"][0] = float("nan")
    save_file(tensors, path)


def test_without_validation_images_the_last_epoch_is_kept(data, tmp_path):
    asked = plan(data, "vit-micro")
    asked = replace(asked, protocol=asked.protocol.model_copy(update={"select_split": None}))
    found = fit(asked, data, tmp_path, torch.device("cpu"), Progress())
    assert found.table["selected"].tolist() == [0, 1]
    assert not [name for name in found.table if name.startswith("val_")]


@pytest.mark.parametrize("method", ["dfr", "probe"])
def test_a_method_that_needs_validation_images_says_so(method, data, tmp_path):
    asked = plan(data, f"vit-micro+{method}")
    asked = replace(asked, protocol=asked.protocol.model_copy(update={"select_split": None}))
    with pytest.raises(UsageError, match=f"{method} is fitted or chosen on validation images"):
        fit(asked, data, tmp_path, torch.device("cpu"), Progress())
