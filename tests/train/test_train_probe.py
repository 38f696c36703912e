"""The linear probe."""

import numpy as np
import pytest
import torch

from ifambench.data.load import load_data
from ifambench.models.timm_vit import build_vit
from ifambench.progress import Progress
from ifambench.train import probe as probe_module
from ifambench.train.linear_head import Features
from ifambench.train.probe import fit_linear, probe
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite


@pytest.fixture
def parts(tmp_path):
    data = load_data(tiny_suite(tmp_path), splits=("train", "val"))
    torch.manual_seed(0)
    model = build_vit(num_classes=2, image_size=64)
    sets = (train_set(data, split, model, torch.device("cpu")) for split in ("train", "val"))
    return model, *sets


def blobs(n, rng):
    y = np.arange(n) % 3
    return Features(np.eye(3)[y] * 5 + rng.normal(0, 1, (n, 3)), y, y)


def test_the_saved_head_has_the_reported_accuracy(parts, tmp_path):
    model, train, val = parts
    backbone = {k: v.clone() for k, v in model.state_dict().items() if "head" not in k}
    table = probe(model, train, val, (1.0, 0.01), tmp_path / "work" / "f", Progress())
    assert len(table) == 1
    assert table["probe_strength"][0] in (1.0, 0.01)
    batch = val.batch(torch.arange(len(val)))
    right = (model.logits(batch.images).argmax(1) == batch.y).float()
    assert right.mean().item() == pytest.approx(table["val_accuracy"][0])
    worst = min(right[val.group == g].mean().item() for g in range(4))
    assert worst == pytest.approx(table["val_worst_group_accuracy"][0])
    assert all(torch.equal(model.state_dict()[k], v) for k, v in backbone.items())
    assert {p.name for p in (tmp_path / "work").iterdir()} == {"f-train.npy", "f-val.npy"}


def test_the_strength_is_chosen_by_accuracy_and_the_stronger_penalty_among_equals(
    parts, tmp_path, monkeypatch
):
    accuracies = {0.1: 0.5, 1.0: 0.9, 10.0: 0.9, 100.0: 0.8}

    class Rigged:
        def __init__(self, strength):
            self.strength = strength
            self.weight, self.bias = np.zeros((2, 64)), np.zeros(2)

        def right(self, data):
            n = len(data.y)
            return np.arange(n) < round(accuracies[self.strength] * n)

    monkeypatch.setattr(probe_module, "fit_linear", lambda _, strength, classes: Rigged(strength))
    table = probe(*parts, (100.0, 10.0, 1.0, 0.1), tmp_path / "f", Progress())
    assert table["probe_strength"][0] == 1.0


def test_a_stronger_penalty_gives_smaller_weights_and_three_classes_work():
    rng = np.random.default_rng(0)
    data = blobs(150, rng)
    strong, weak = fit_linear(data, 1e-4, 3), fit_linear(data, 1.0, 3)
    assert np.abs(strong.weight).max() < np.abs(weak.weight).max() / 5
    assert weak.right(blobs(90, rng)).mean() > 0.95
