"""Losses, gradients and random numbers of the part-based steps."""

import pytest
import torch
import torch.nn.functional as F

from ifambench.models.ifam import Selector, build_ifam
from ifambench.models.pdiscoformer import build_pdiscoformer
from ifambench.train import losses
from ifambench.train.augment import warp
from ifambench.train.ifam_steps import IfamStep, PartsStep
from ifambench.train.noise import dropped_parts, gumbel
from ifambench.train.recipes import LOSS_WEIGHTS, Recipe
from ifambench.train.steps import Batch

STILL = Recipe(jitter=0.0, part_dropout=0.0, gumbel=False)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return Batch(torch.randn(4, 3, 64, 64), torch.tensor([0, 0, 1, 1]), torch.zeros(4).long(), None)


def two_stages(**options):
    torch.manual_seed(2)
    still = {"part_dropout": 0.0, "gumbel": False}
    return build_ifam(num_classes=2, image_size=64, **(still | options))


def test_the_total_is_the_weighted_sum_of_all_losses(batch):
    weights = {name: 0.1 * (k + 1) for k, name in enumerate(LOSS_WEIGHTS)}
    found = IfamStep(two_stages(), Recipe(jitter=0.0, losses=weights))(batch)
    assert set(found) == {*LOSS_WEIGHTS, "total"}
    expected = sum(weights[name] * found[name].item() for name in LOSS_WEIGHTS)
    assert found["total"].item() == pytest.approx(expected, rel=1e-5)


def test_the_backbone_of_stage_1_is_frozen(batch):
    model = two_stages()
    step = IfamStep(model, STILL)
    step(batch)["total"].backward()
    assert all(p.grad is None for p in model.stage_1.vit.parameters())
    assert model.stage_1.fc_landmarks.weight.grad.abs().sum() > 0
    trained = {id(p) for group in step.parameter_groups(100) for p in group["params"]}
    assert not trained & {id(p) for p in model.stage_1.vit.parameters()}


def test_tokens_of_stage_1_are_trained_where_the_recipe_says_so(batch):
    model = two_stages()
    step = IfamStep(model, Recipe(jitter=0.0, train_stage_1_tokens=True))
    step(batch)["total"].backward()
    vit = model.stage_1.vit
    moved = {name for name, p in vit.named_parameters() if p.grad is not None}
    assert moved == {"cls_token", "pos_embed"}
    assert vit.pos_embed.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("mask_gradient", "reaches"), [("detached", False), ("straight-through", True), ("soft", True)]
)
def test_whether_the_loss_of_stage_2_alone_moves_the_prototypes(batch, mask_gradient, reaches):
    model = two_stages(mask_gradient=mask_gradient)
    IfamStep(model, STILL)(batch)["class_stage_2"].backward()
    assert model.stage_2.head.weight.grad.abs().sum() > 0
    gradient = model.stage_1.fc_landmarks.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) == reaches


def test_equivariance_runs_stage_1_twice_and_stage_2_once(batch, monkeypatch):
    model = two_stages()
    seen = {"tokens": [], "stage 2": []}
    tokens, stage_2 = Selector.tokens, type(model.stage_2).forward

    def count_tokens(self, images):
        seen["tokens"].append((len(images), torch.is_grad_enabled()))
        return tokens(self, images)

    def count_stage_2(self, images, keep):
        seen["stage 2"].append(len(images))
        return stage_2(self, images, keep)

    monkeypatch.setattr(Selector, "tokens", count_tokens)
    monkeypatch.setattr(type(model.stage_2), "forward", count_stage_2)
    IfamStep(model, STILL)(batch)
    assert seen == {"tokens": [(8, False)], "stage 2": [4]}


def test_without_equivariance_there_is_no_second_pass(batch, monkeypatch):
    model, seen = two_stages(mask_part_dropout=0.0), []
    tokens = Selector.tokens

    def count(self, images):
        seen.append(len(images))
        return tokens(self, images)

    monkeypatch.setattr(Selector, "tokens", count)
    without = Recipe(jitter=0.0, losses=LOSS_WEIGHTS | {"equivariance": 0.0})
    found = IfamStep(model, without)(batch)
    whole = IfamStep(model, STILL)(batch)
    assert seen == [4, 8]
    assert found["equivariance"].item() == 0
    assert found.keys() == whole.keys()
    for name in set(LOSS_WEIGHTS) - {"equivariance"}:
        assert found[name].item() == pytest.approx(whole[name].item(), rel=1e-5)
    difference = whole["total"].item() - whole["equivariance"].item()
    assert found["total"].item() == pytest.approx(difference, rel=1e-5)


def test_classes_are_weighed_alike_in_both_stages(batch):
    model, balanced = two_stages(), Recipe(jitter=0.0, class_balanced=True)
    step = IfamStep(model, balanced)
    step.balance(torch.tensor([0] * 9 + [1]))  # weights 10 / 18 and 10 / 2
    found, plain = step(batch), IfamStep(model, STILL)(batch)
    parts = model.stage_1(model.stage_1.tokens(batch.images)).logits
    loss = F.cross_entropy(parts, batch.y, reduction="none")
    expected = (loss * torch.tensor([5 / 9, 5 / 9, 5.0, 5.0])).mean().item()
    assert found["class_stage_1"].item() == pytest.approx(expected, rel=1e-5)
    assert found["class_stage_2"].item() != pytest.approx(plain["class_stage_2"].item(), rel=1e-2)
    for name in ("presence", "entropy", "orthogonality"):
        assert found[name].item() == pytest.approx(plain[name].item(), rel=1e-5)


def test_the_official_orthogonality(batch):
    model = two_stages()
    ours = IfamStep(model, STILL)(batch)["orthogonality"]
    official = IfamStep(model, Recipe(jitter=0.0, compat="official"))(batch)["orthogonality"]
    features = model.stage_1(model.stage_1.tokens(batch.images)).features
    assert ours.item() == pytest.approx(losses.orthogonality(features).item(), rel=1e-5)
    expected = losses.orthogonality(features.transpose(1, 2)).item()
    assert official.item() == pytest.approx(expected, rel=1e-5)


def test_the_draws_are_those_of_the_first_version(batch):
    """Order and kind of every draw: noise, then `F.dropout1d`; also for the transformed copy."""
    model = two_stages(part_dropout=0.3, gumbel=True)
    step = IfamStep(model, Recipe(jitter=0.2)).train()
    torch.manual_seed(7)
    step(batch)
    after_step = torch.rand(1)
    torch.manual_seed(7)
    torch.rand(4, 3, 1, 1), torch.rand(4, 3, 1, 1)  # colour jitter
    torch.rand(()), torch.rand(()), torch.rand(2)  # affine map
    for dropout in (F.dropout1d, F.dropout1d, F.dropout2d):
        torch.empty(4, 5, 8, 8).exponential_()
        shape = (4, 4, 64) if dropout is F.dropout1d else (4, 4, 8, 8)
        dropout(torch.ones(shape), 0.3, training=True)
    assert torch.equal(after_step, torch.rand(1))


def test_dropped_parts_are_those_of_dropout1d():
    torch.manual_seed(3)
    dropped = dropped_parts(50, 4, 0.3)
    torch.manual_seed(3)
    expected = F.dropout1d(torch.ones(50, 4, 6), 0.3, training=True)
    assert torch.equal(dropped, expected[..., 0] == 0)
    assert dropped_parts(50, 4, 0.0) is None


def test_training_keeps_a_patch_with_its_foreground_probability():
    """The Gumbel-max property, without part dropout."""
    torch.manual_seed(0)
    model = two_stages()
    scores = torch.randn(1, 5, 8, 8).expand(4000, 5, 8, 8)
    kept = model.training_mask(scores, gumbel(4000, 5, 8, 8)).float().mean(0)
    expected = 1 - scores[0].softmax(0)[-1]
    assert (kept - expected).abs().max() < 5 * 0.5 / 4000**0.5


def test_part_discovery_alone_has_the_losses_of_stage_1(batch):
    torch.manual_seed(4)
    model = build_pdiscoformer(num_classes=2, image_size=64, part_dropout=0.0, gumbel=False)
    step = PartsStep(model, STILL)
    found = step(batch)
    assert set(found) == {*LOSS_WEIGHTS, "total"} - {"class_stage_2"}
    expected = F.cross_entropy(model.logits(batch.images), batch.y)
    assert found["class_stage_1"].item() == pytest.approx(expected.item(), rel=1e-5)
    (group,) = step.parameter_groups(100)
    assert len(group["params"]) == 4  # prototypes, two of modulation, part classifier


def test_equal_maps_of_a_copy_that_was_not_moved(batch, monkeypatch):
    identity = torch.eye(2, 3)
    pair = type("Pair", (), {"forward": identity, "backward": identity})
    monkeypatch.setattr("ifambench.train.ifam_steps.draw_affine", lambda _: pair)
    assert torch.allclose(warp(batch.images, identity), batch.images, atol=1e-4)
    assert IfamStep(two_stages(), STILL)(batch)["equivariance"].item() == pytest.approx(0, abs=1e-3)
