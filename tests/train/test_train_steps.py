"""What each training method minimises, and what it trains."""

import pytest
import torch
import torch.nn.functional as F

from ifambench.models.ifam import build_ifam_vit_micro
from ifambench.models.timm_vit import build_vit_micro
from ifambench.train.recipes import LOSS_WEIGHTS, Recipe
from ifambench.train.steps import Batch, ErmStep, GroupDroStep, IfamStep, make_step

STILL = Recipe(jitter=0.0, part_dropout=0.0, gumbel=False)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    group = torch.tensor([0, 0, 1, 3, 3, 3])
    return Batch(torch.randn(6, 3, 64, 64), group // 2, group, None)


@pytest.fixture
def vit():
    torch.manual_seed(1)
    return build_vit_micro(num_classes=2, image_size=64)


@pytest.fixture
def ifam():
    torch.manual_seed(2)
    return build_ifam_vit_micro(num_classes=2, image_size=64, part_dropout=0.0, gumbel=False)


def test_erm_is_the_mean_cross_entropy(vit, batch):
    step = ErmStep(vit, STILL)
    expected = F.cross_entropy(vit.logits(batch.images), batch.y)
    assert step(batch)["total"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_groupdro_weights_grow_with_the_loss_of_the_group(vit, batch):
    step = GroupDroStep(vit, Recipe(jitter=0.0, group_step=0.7), 4).train()
    per_image = F.cross_entropy(vit.logits(batch.images), batch.y, reduction="none")
    means = torch.stack(
        [per_image[:2].mean(), per_image[2], torch.tensor(0.0), per_image[3:].mean()]
    )
    weights = (0.7 * means).exp()
    weights = weights / weights.sum()
    total = step(batch)["total"]
    assert torch.allclose(step.group_weights, weights, rtol=1e-5)
    assert total.item() == pytest.approx((weights * means).sum().item(), rel=1e-5)


def test_groupdro_weights_are_still_in_evaluation(vit, batch):
    step = GroupDroStep(vit, STILL, 4).eval()
    step(batch)
    assert torch.equal(step.group_weights, torch.full((4,), 0.25))


def test_ifam_total_is_the_weighted_sum_of_all_losses(ifam, batch):
    weights = {name: 0.1 * (k + 1) for k, name in enumerate(LOSS_WEIGHTS)}
    found = IfamStep(ifam, Recipe(jitter=0.0, losses=weights))(batch)
    assert set(found) == {*LOSS_WEIGHTS, "total"}
    expected = sum(weights[name] * found[name].item() for name in LOSS_WEIGHTS)
    assert found["total"].item() == pytest.approx(expected, rel=1e-5)


def test_ifam_never_trains_the_backbone_of_stage_1(ifam, batch):
    step = IfamStep(ifam, STILL)
    step(batch)["total"].backward()
    assert all(p.grad is None for p in ifam.stage_1.vit.parameters())
    assert ifam.stage_1.fc_landmarks.weight.grad.abs().sum() > 0
    trained = {id(p) for group in step.parameter_groups() for p in group["params"]}
    assert not trained & {id(p) for p in ifam.stage_1.vit.parameters()}


def test_the_loss_of_stage_2_does_not_reach_stage_1(ifam, batch):
    step = IfamStep(ifam, STILL)
    step(batch)["class_stage_2"].backward()
    assert all(p.grad is None for p in ifam.stage_1.parameters())
    assert ifam.stage_2.head.weight.grad.abs().sum() > 0


def test_noise_and_part_dropout_change_the_training_mask_only(ifam, batch):
    torch.manual_seed(0)
    noisy = build_ifam_vit_micro(num_classes=2, image_size=64)
    scores = noisy.stage_1.scores(noisy.stage_1.tokens(batch.images))
    masks = [noisy.noisy_mask(scores) for _ in range(3)]
    assert not torch.equal(masks[0], masks[1])
    noisy.eval()
    assert torch.equal(noisy.select(batch.images).mask, noisy.select(batch.images).mask)


def test_training_keeps_a_patch_with_its_foreground_probability():
    """The Gumbel-max property, without part dropout."""
    torch.manual_seed(0)
    model = build_ifam_vit_micro(num_classes=2, image_size=64, part_dropout=0.0)
    scores = torch.randn(1, 5, 8, 8).expand(4000, 5, 8, 8)
    kept = model.noisy_mask(scores).float().mean(0)
    expected = 1 - scores[0].softmax(0)[-1]
    assert (kept - expected).abs().max() < 5 * 0.5 / 4000**0.5


def test_methods(vit, ifam):
    assert type(make_step("erm", vit, STILL, 4)) is ErmStep
    assert type(make_step("dfr", vit, STILL, 4)) is ErmStep
    assert type(make_step("groupdro", vit, STILL, 4)) is GroupDroStep
    assert type(make_step("ifam", ifam, STILL, 4)) is IfamStep
