"""Mixup against its definition."""

import pytest
import torch
import torch.nn.functional as F

from ifambench.models.timm_vit import build_vit
from ifambench.train.mixup import MixupStep, draw_order
from ifambench.train.recipes import Recipe
from ifambench.train.steps import Batch, ErmStep


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return Batch(torch.randn(6, 3, 64, 64), torch.tensor([0, 1, 0, 1, 1, 0]), torch.zeros(6), None)


@pytest.fixture
def vit():
    torch.manual_seed(1)
    return build_vit(num_classes=2, image_size=64)


def loss(step, batch):
    torch.manual_seed(5)
    return step(batch)["total"].item()


def test_a_share_of_1_is_erm(vit, batch, monkeypatch):
    step = MixupStep(vit, Recipe(augment="none"))
    monkeypatch.setattr(step, "draw_share", lambda: 1.0)
    assert loss(step, batch) == pytest.approx(loss(ErmStep(vit, Recipe(augment="none")), batch))


def test_a_half_is_the_mean_image_with_both_labels(vit, batch, monkeypatch):
    step = MixupStep(vit, Recipe(augment="none"))
    monkeypatch.setattr(step, "draw_share", lambda: 0.5)
    torch.manual_seed(5)
    order = draw_order(6)
    logits = vit.logits((batch.images + batch.images[order]) / 2)
    both = F.cross_entropy(logits, batch.y) + F.cross_entropy(logits, batch.y[order])
    assert loss(step, batch) == pytest.approx(both.item() / 2, rel=1e-5)


def test_shares_follow_the_beta_distribution(vit):
    torch.manual_seed(0)
    step = MixupStep(vit, Recipe(mixup_alpha=0.2))
    shares = torch.tensor([step.draw_share() for _ in range(4000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(1 / (4 * 1.4), rel=0.05)  # of Beta(a, a): 1 / (4 (2a + 1))
