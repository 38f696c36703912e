"""A training that is broken off goes on to the weights of an unbroken one."""

import errno
import io
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem
from ifambench.models.catalog import build_model, choose_model
from ifambench.progress import Progress
from ifambench.train import checkpoint
from ifambench.train.methods import make_step
from ifambench.train.recipes import recipe_for
from ifambench.train.trainer import train_model
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite

CPU = torch.device("cpu")
EVERYTHING = "ema=0.8,epochs=3,schedule=epoch,weight_decay_rule=normalised"
PASSES = {"vit-micro+groupdro": 1}
"""Gradient accumulation; 2 where nothing else is said."""


class BreaksOff(Progress):
    """Does something at a training step."""

    def __init__(self, step, action):
        self.left, self.action, self.done = step, action, 0
        self.messages = []

    def advance(self, steps=1, note=""):
        self.left -= 1
        self.done += 1
        if self.left == 0:
            self.action()

    def message(self, text):
        self.messages.append(text)


class Killed(BaseException):
    pass


def killed():
    raise Killed


def terminated():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


def trained(data, name, folder, progress=None, key="k"):
    """The table and the weights."""
    choice = choose_model(f"{name}@{EVERYTHING},accumulate={PASSES.get(name, 2)}")
    recipe = recipe_for(data.suite, choice.family, choice.base_label, choice.overrides)
    torch.manual_seed(1)
    model = build_model(choice, data.suite, recipe.architecture())
    step = make_step(choice.method, model, recipe, 4)
    sets = [train_set(data, split, model, CPU) for split in ("train", "val")]
    table = train_model(
        step,
        *sets,
        recipe,
        5,
        folder,
        key,
        progress or Progress(),
        selection="best_val_worst_group_accuracy",
    )
    return table.drop(columns="seconds"), model.state_dict()


@pytest.mark.parametrize("step", [2, 5, 8, 12])
@pytest.mark.parametrize("name", ["vit-micro+groupdro", "ifam-vit-micro"])
def test_killed_in_an_epoch(data, tmp_path, monkeypatch, name, step):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    table, weights = trained(data, name, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(data, name, tmp_path / "cut", BreaksOff(step, killed))
    again = BreaksOff(0, killed)
    resumed_table, resumed = trained(data, name, tmp_path / "cut", again)
    assert again.done == 12 - (step - 1)
    assert again.messages or step == 1
    pd.testing.assert_frame_equal(resumed_table, table)
    assert all(torch.equal(resumed[key], value) for key, value in weights.items())


def test_a_signal_ends_the_step_and_keeps_it(data, tmp_path):
    table, weights = trained(data, "vit-micro", tmp_path / "whole")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        trained(data, "vit-micro", tmp_path / "cut", BreaksOff(6, terminated))
    assert signal.getsignal(signal.SIGTERM) is before
    again = BreaksOff(0, killed)
    resumed_table, resumed = trained(data, "vit-micro", tmp_path / "cut", again)
    assert again.messages == ["training resumes after epoch 1, step 2 of the next"]
    assert again.done == 6
    pd.testing.assert_frame_equal(resumed_table, table)
    assert all(torch.equal(resumed[key], value) for key, value in weights.items())


def test_a_checkpoint_of_another_training_is_kept_until_its_own_comes_again(data, tmp_path):
    with pytest.raises(Killed):
        trained(data, "vit-micro", tmp_path, BreaksOff(5, killed))
    others, progress = tmp_path / "checkpoint-k.pt", BreaksOff(0, killed)
    trained(data, "vit-micro", tmp_path, progress, key="another")
    assert progress.done == 12
    assert others.is_file()
    assert progress.messages == [f"the state of a training with other settings is kept: {others}"]
    progress = BreaksOff(0, killed)
    again, _ = trained(data, "vit-micro", tmp_path, progress)
    assert progress.done < 12
    assert (tmp_path / "checkpoint-another.pt").is_file()
    assert not others.is_file()
    whole, _ = trained(data, "vit-micro", tmp_path / "whole")
    pd.testing.assert_frame_equal(again, whole)


def test_a_damaged_checkpoint_is_not_used(data, tmp_path):
    table, _ = trained(data, "vit-micro", tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000])
    progress = BreaksOff(0, killed)
    again, _ = trained(data, "vit-micro", tmp_path, progress)
    assert (progress.done, progress.messages) == (12, [])
    pd.testing.assert_frame_equal(again, table)


def test_no_damage_of_a_checkpoint_goes_unnoticed(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"key": "k", "weights": torch.randn(500)}, path)
    whole = path.read_bytes()
    assert checkpoint._content(path) is not None
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
        found = checkpoint._content(path)
        assert found is None or torch.equal(
            found["weights"], torch.load(io.BytesIO(whole))["weights"]
        )
    for content in (b"", b"no checkpoint", whole[: len(whole) // 2], bytes(rng.bytes(300))):
        path.write_bytes(content)
        assert checkpoint._content(path) is None
    for other in ([1, 2], {"weights": 1}):
        torch.save(other, path)
        assert checkpoint._content(path) is None


def test_a_full_disk_is_named_and_the_former_checkpoint_stays(data, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Killed):
        trained(data, "vit-micro", tmp_path, BreaksOff(3, killed))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    save = torch.save

    def full(content, file):
        class Full(io.RawIOBase):
            def write(self, _):
                raise OSError(errno.ENOSPC, "No space left on device")

        save(content, Full())

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(EnvironmentProblem, match="No space left") as caught:
        trained(data, "vit-micro", tmp_path)
    assert "checkpoint.pt" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_finished_training_is_not_repeated(data, tmp_path):
    table, weights = trained(data, "vit-micro", tmp_path)
    progress = BreaksOff(0, killed)
    again, same = trained(data, "vit-micro", tmp_path, progress)
    assert progress.done == 0
    pd.testing.assert_frame_equal(again, table)
    assert all(torch.equal(same[key], value) for key, value in weights.items())
