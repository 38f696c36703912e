"""The running average of the weights."""

import pytest
import torch
from torch import nn

from ifambench.train.ema import Averaged


def model():
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 0.0)
    layer.bias.requires_grad_(False)
    return layer


def test_the_average_follows_the_weights_slower_later_on():
    layer = model()
    average = Averaged(layer, decay=0.5)
    found = []
    for updates in range(12):
        layer.weight.data.fill_(updates + 1.0)
        average.update(updates)
        found.append(float(average.average["weight"]))
    expected, value = [], 0.0
    for updates in range(12):
        decay = min(0.5, (1 + updates) / (10 + updates))
        value = decay * value + (1 - decay) * (updates + 1)
        expected.append(value)
    assert found == pytest.approx(expected)
    assert "bias" not in average.average


def test_within_the_block_the_model_is_the_average_and_afterwards_itself():
    layer = model()
    average = Averaged(layer, decay=0.9)
    layer.weight.data.fill_(1.0)
    with average.in_place():
        assert layer.weight.item() == 0.0
    assert layer.weight.item() == 1.0
    assert float(average.average["weight"]) == 0.0


def test_without_decay_nothing_is_kept_or_changed():
    layer = model()
    average = Averaged(layer, decay=0.0)
    average.update(3)
    with average.in_place():
        assert layer.weight.item() == 0.0
    assert average.average == {}


def test_a_stored_average_is_restored():
    average = Averaged(model(), decay=0.9)
    average.load({"weight": torch.tensor([[4.0]])})
    assert float(average.average["weight"]) == 4.0
