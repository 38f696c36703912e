"""Weights that one model takes over from another, or is given, or trains in a way of its own."""

import pytest
import torch

from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem
from ifambench.models.catalog import choose_model
from ifambench.models.weights import read_tensors
from ifambench.progress import Progress
from ifambench.records import record as record_module
from ifambench.records.lock import run_lock
from ifambench.train import fit as fit_module
from ifambench.train.fit import FitPlan, fit
from ifambench.train.recipes import recipe_for
from tests.tiny import tiny_suite


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


class Heard(Progress):
    """Keeps the messages."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


def plan(data, label):
    choice = choose_model(label)
    recipe = recipe_for(data.suite, choice.family, choice.base_label, choice.overrides)
    return FitPlan(choice, recipe, data.suite.protocol["standard"], None, 0, "test")


def fitted(data, root, label, progress=None, **more):
    more = {"folder_of": lambda other: root / other} | more
    device = torch.device("cpu")
    return fit(plan(data, label), data, root / label, device, progress or Progress(), **more)


def tensors(root, label):
    return read_tensors(root / label / "weights.safetensors")


def trainings(monkeypatch):
    """Labels of the plans that are trained by gradient from now on."""
    found = []
    train = fit_module.train_by_gradient

    def count(plan, *rest):
        found.append(plan.choice.label)
        return train(plan, *rest)

    monkeypatch.setattr(fit_module, "train_by_gradient", count)
    return found


def test_the_base_of_every_model_that_takes_over(data):
    expected = {
        "vit-micro+dfr@lr=0.01,retrainings=3": "vit-micro@lr=0.01",
        "gradcam-vit-micro@keep_fraction=0.3": "vit-micro",
        "rollout-vit-micro+groupdro@epochs=3": "vit-micro+groupdro@epochs=3",
        "gradcam-vit-micro+dfr@retrainings=3,keep_fraction=0.3": "vit-micro+dfr@retrainings=3",
        "vit-micro+jtt": None,
        "ifam-vit-micro": None,
    }
    for label, base in expected.items():
        found = plan(data, label).base(data.suite)
        assert (found and found.choice.label) == base
        assert found is None or found == plan(data, base)
    root = plan(data, "gradcam-vit-micro+dfr").root(data.suite)
    assert root.choice.label == "vit-micro"


def test_the_weights_of_the_base_are_trained_once_for_all(data, tmp_path, monkeypatch):
    trained = trainings(monkeypatch)
    dfr = fitted(data, tmp_path, "vit-micro+dfr")
    gradcam = fitted(data, tmp_path, "gradcam-vit-micro")
    after_dfr = fitted(data, tmp_path, "rollout-vit-micro+dfr")
    base = fitted(data, tmp_path, "vit-micro")
    assert trained == ["vit-micro"]
    assert base.reused
    assert not dfr.reused
    plain, refitted = tensors(tmp_path, "vit-micro"), tensors(tmp_path, "vit-micro+dfr")
    differ = {name for name in plain if not torch.equal(plain[name], refitted[name])}
    assert differ == {"vit.head.weight", "vit.head.bias"}
    assert all(torch.equal(v, plain[k]) for k, v in gradcam.model.state_dict().items())
    assert all(torch.equal(v, refitted[k]) for k, v in after_dfr.model.state_dict().items())
    assert "dfr_strength" in dfr.table
    assert "dfr_strength" not in base.table


def test_without_a_folder_the_base_is_trained_in_the_work_folder(data, tmp_path):
    alone = fitted(data, tmp_path, "gradcam-vit-micro", folder_of=None)
    inside = tmp_path / "gradcam-vit-micro" / "work" / "base" / "weights.safetensors"
    assert inside.is_file()
    beside = fitted(data, tmp_path / "other", "vit-micro")
    for name, value in beside.model.state_dict().items():
        assert torch.equal(alone.model.state_dict()[name], value)


def test_a_complete_run_of_other_weights_is_left_as_it_is(data, tmp_path, monkeypatch):
    folder = tmp_path / "vit-micro"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    complete = type("Record", (), {"status": "complete"})
    monkeypatch.setattr(fit_module, "read_record", lambda _: complete)
    assert record_module.RECORD_FILE == "run.json"
    progress = Heard()
    fitted(data, tmp_path, "vit-micro+dfr", progress)
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert any("left as it is" in text for text in progress.messages)


def test_a_base_that_another_process_works_on_is_named(data, tmp_path):
    with run_lock(tmp_path / "vit-micro"), pytest.raises(EnvironmentProblem) as caught:
        fitted(data, tmp_path, "vit-micro+dfr")
    assert str(tmp_path / "vit-micro") in str(caught.value)


def test_a_change_of_the_base_recipe_changes_the_key(data):
    changed = data.suite.model_copy(
        update={"recipe": data.suite.recipe | {"vit": {"epochs": 3, "batch_size": 40}}}
    )
    before = plan(data, "vit-micro+dfr")
    other = type(data)(**(vars(data) | {"suite": changed}))
    assert before.base(data.suite) != before.base(changed)
    assert before.key(data) != before.key(other)


def test_the_precision_asked_for_holds_for_the_base(data):
    from dataclasses import replace

    asked = plan(data, "vit-micro+dfr")
    asked = replace(asked, recipe=replace(asked.recipe, precision="bf16"))
    assert asked.base(data.suite).recipe.precision == "bf16"


def test_given_weights_are_used_as_they_are(data, tmp_path):
    trained = fitted(data, tmp_path, "vit-micro")
    source = f"ckpt:{tmp_path / 'vit-micro' / 'weights.safetensors'}"
    folder = tmp_path / "given"
    given = fit(plan(data, source), data, folder, torch.device("cpu"), Progress())
    assert given.sha256 == trained.sha256
    assert given.table.empty
    assert not folder.exists()
    for name, value in trained.model.state_dict().items():
        assert torch.equal(given.model.state_dict()[name], value)


def test_jtt_trains_twice_from_the_same_start_and_tells_of_the_errors(data, tmp_path):
    progress = Heard()
    label = "vit-micro+jtt@jtt_epochs=1,jtt_weight=20"
    found = fitted(data, tmp_path, label, progress)
    assert len(found.table) == 2
    assert 0 <= found.table["jtt_errors"].iloc[-1] <= 160
    groups = [f"jtt_errors_{name}" for name in data.suite.groups.names]
    assert found.table[groups].iloc[-1].sum() == found.table["jtt_errors"].iloc[-1]
    assert any("JTT" in text for text in progress.messages)
    again = fitted(data, tmp_path / "again", label)
    assert again.sha256 == found.sha256


def test_every_method_trains(data, tmp_path):
    weights = {}
    for method in ("erm", "rwg", "mixup", "probe"):
        found = fitted(data, tmp_path, f"vit-micro+{method}@epochs=1")
        assert 0 <= found.table["val_accuracy"].iloc[-1] <= 1
        weights[method] = found.sha256
    assert len(set(weights.values())) == 4
    parts = fitted(data, tmp_path, "pdiscoformer-vit-micro@epochs=1,batch_size=80")
    assert "loss_class_stage_1" in parts.table
