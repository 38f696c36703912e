"""What the loop does with recipe and precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.catalog import build_model, choose_model
from ifambench.progress import Progress
from ifambench.train.methods import make_step
from ifambench.train.recipes import Recipe
from ifambench.train.steps import ErmStep
from ifambench.train.trainer import train_model
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite

CPU = torch.device("cpu")
PLAIN = Recipe(epochs=2, batch_size=40, augment="none")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


def fresh(data, recipe, kind=None):
    torch.manual_seed(1)
    choice = choose_model("vit-micro")
    model = build_model(choice, data.suite, recipe.architecture())
    return kind(model, recipe) if kind else make_step("erm", model, recipe, 4)


def trained(data, folder, recipe, step=None, **more):
    step = step or fresh(data, recipe)
    sets = [train_set(data, split, step.model, CPU) for split in ("train", "val")]
    progress = more.pop("progress", Progress())
    return train_model(step, *sets, recipe, 0, folder, "k", progress, **more)


def test_accumulated_passes_are_one_batch_when_the_loss_is_a_mean(data, tmp_path):
    one = trained(data, tmp_path / "one", PLAIN)
    four = trained(data, tmp_path / "four", replace(PLAIN, accumulate=4))
    np.testing.assert_allclose(four["loss_total"], one["loss_total"], rtol=1e-4)


class Broken(ErmStep):
    """Finite losses, and a gradient that is not."""

    def forward(self, batch):
        found = super().forward(batch)
        spoilt = (self.model.vit.head.weight * 0).abs().sqrt().sum()
        return found | {"total": found["total"] + spoilt}


def test_weights_that_a_gradient_has_spoilt_are_no_result(data, tmp_path):
    step = fresh(data, PLAIN, Broken)
    with pytest.raises(EnvironmentProblem, match=r"diverged in epoch 1: .* is not finite"):
        trained(data, tmp_path, replace(PLAIN, epochs=1), step, selection="last")


class Watching(ErmStep):
    """Notes what reaches it."""

    def forward(self, batch):
        self.images, self.size = batch.images.dtype, len(batch.y)
        found = super().forward(batch)
        self.arithmetic = self.model.logits(batch.images).dtype
        return found


def test_half_precision_computes_in_half_and_keeps_images_and_weights(data, tmp_path):
    recipe = replace(PLAIN, precision="bf16", accumulate=2)
    step = fresh(data, recipe, Watching)
    half = trained(data, tmp_path / "half", recipe, step)
    assert (step.images, step.arithmetic, step.size) == (torch.float32, torch.bfloat16, 20)
    assert {p.dtype for p in step.model.parameters()} == {torch.float32}
    full = trained(data, tmp_path / "full", PLAIN)
    np.testing.assert_allclose(half["loss_total"], full["loss_total"], rtol=0.02)
    assert not np.array_equal(half["loss_total"], full["loss_total"])


def test_precision_16_needs_a_gpu(data, tmp_path):
    with pytest.raises(UsageError, match="precision 16 needs a GPU"):
        trained(data, tmp_path, replace(PLAIN, precision="16"))


def test_the_averaged_weights_are_measured_and_kept(data, tmp_path):
    recipe = replace(PLAIN, ema=0.5)
    step, plain = fresh(data, recipe), fresh(data, PLAIN)
    averaged = trained(data, tmp_path / "ema", recipe, step)
    last = trained(data, tmp_path / "last", PLAIN, plain)
    assert np.array_equal(averaged["loss_total"], last["loss_total"])  # the same is trained
    assert not torch.equal(step.model.vit.head.weight, plain.model.vit.head.weight)
    accuracy = accuracy_of(step.model, data)
    assert averaged["val_accuracy"].iloc[-1] == pytest.approx(accuracy)


def accuracy_of(model, data):
    val = train_set(data, "val", model, CPU)
    right = [model.logits(b.images).argmax(1) == b.y for b in val.in_order(16)]
    return torch.cat(right).float().mean().item()


def test_the_selected_epoch_is_in_the_table_and_in_the_model(data, tmp_path):
    recipe = replace(PLAIN, epochs=4, lr=3e-3)
    step = fresh(data, recipe)
    table = trained(data, tmp_path, recipe, step, selection="best_val_accuracy")
    kept = table[table["selected"] == 1]
    assert len(kept) == 1
    assert kept["val_accuracy"].item() == table["val_accuracy"].max()
    assert accuracy_of(step.model, data) == pytest.approx(kept["val_accuracy"].item())


class Groups(ErmStep):
    """Two groups: the head is not trained at all, the rest decays."""

    def parameter_groups(self, images):
        head = list(self.model.vit.head.parameters())
        rest = [p for p in self.model.parameters() if all(p is not q for q in head)]
        return [
            {"params": head, "peak_lr": 0.0, "weight_decay": 0.5},
            {"params": rest, "peak_lr": 1e-3, "weight_decay": 0.0},
        ]


def test_groups_have_their_own_rate_and_decay(data, tmp_path):
    step = fresh(data, PLAIN, Groups)
    before = {name: p.detach().clone() for name, p in step.model.named_parameters()}
    trained(data, tmp_path, PLAIN, step)
    same = {n for n, p in step.model.named_parameters() if torch.equal(p, before[n])}
    assert same == {"vit.head.weight", "vit.head.bias"}


class Notes(Progress):
    def __init__(self):
        self.texts, self.total = [], 0

    def start(self, phase, total):
        self.total = total

    def advance(self, steps=1, note=""):
        self.texts.append(note)


def test_notes_tell_epoch_loss_and_validation(data, tmp_path):
    notes = Notes()
    trained(data, tmp_path, PLAIN, progress=notes)
    assert notes.total == len(notes.texts) == 8
    assert notes.texts[0].startswith("epoch 1/2, loss 0.")
    assert "worst group 0." in notes.texts[-1]
    assert "val" not in notes.texts[0]
