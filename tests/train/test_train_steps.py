"""What each method of a plain classifier minimises, and how it draws its images."""

import math

import pytest
import torch
import torch.nn.functional as F

from ifambench.models.ifam import build_ifam
from ifambench.models.pdiscoformer import build_pdiscoformer
from ifambench.models.timm_vit import build_oracle_vit, build_vit
from ifambench.train import mixup as mixup_module
from ifambench.train.ifam_steps import IfamStep, PartsStep
from ifambench.train.methods import make_step
from ifambench.train.mixup import MixupStep
from ifambench.train.recipes import Recipe
from ifambench.train.steps import Batch, ErmStep, GroupDroStep, JttStep, RwgStep

STILL = Recipe(jitter=0.0)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    group = torch.tensor([0, 0, 1, 3, 3, 3])
    return Batch(torch.randn(6, 3, 64, 64), group // 2, group, None)


@pytest.fixture
def vit():
    torch.manual_seed(1)
    return build_vit(num_classes=2, image_size=64)


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


def test_groupdro_weights_after_two_steps_by_hand(vit, batch, monkeypatch):
    step = GroupDroStep(vit, Recipe(group_step=1.0), 4).train()
    monkeypatch.setattr(step, "per_image", lambda _: torch.tensor([1.0, 3.0, 1.0, 0, 0, 0]))
    step(batch)
    step(batch)  # group losses 2, 1, 0 (absent), 0: weights e^4 : e^2 : 1 : 1
    expected = torch.tensor([4.0, 2.0, 0.0, 0.0]).softmax(0)
    assert torch.allclose(step.group_weights, expected)


def test_groupdro_starts_even_over_the_groups_of_the_training_split(vit):
    step = GroupDroStep(vit, STILL, 4)
    step.begin(torch.tensor([0, 1, 1]), torch.tensor([0, 3, 3]))
    assert step.group_weights.tolist() == [0.5, 0, 0, 0.5]


def test_groupdro_weights_are_still_in_evaluation(vit, batch):
    step = GroupDroStep(vit, STILL, 4).eval()
    step(batch)
    assert torch.equal(step.group_weights, torch.full((4,), 0.25))


BALANCED = Recipe(jitter=0.0, class_balanced=True)
CLASSES = torch.tensor([0] * 6 + [1] * 2)  # weights 8 / 12 and 8 / 4


def test_class_weights_are_n_over_classes_times_count(vit, batch):
    step = ErmStep(vit, BALANCED)
    step.balance(CLASSES)
    loss = F.cross_entropy(vit.logits(batch.images), batch.y, reduction="none")
    weights = torch.where(batch.y == 0, 2 / 3, 2.0)
    assert step(batch)["total"].item() == pytest.approx((weights * loss).mean().item(), rel=1e-5)
    even = step.class_loss(torch.zeros(8, 2), CLASSES)
    assert even[:6].sum().item() == pytest.approx(even[6:].sum().item())  # classes count alike
    assert even.mean().item() == pytest.approx(math.log(2))  # the size of the loss stays


def test_a_class_without_images_and_no_weights_by_default(vit, batch):
    step = ErmStep(vit, BALANCED)
    step.balance(torch.zeros(8, dtype=torch.long))
    assert torch.isfinite(step(batch)["total"])
    plain = ErmStep(vit, STILL)
    plain.balance(CLASSES)
    expected = F.cross_entropy(vit.logits(batch.images), batch.y)
    assert plain(batch)["total"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_mixup_weighs_the_class_of_each_of_the_two_images(vit, batch, monkeypatch):
    step = MixupStep(vit, BALANCED)
    step.balance(CLASSES)
    monkeypatch.setattr(step, "draw_share", lambda: 0.25)
    monkeypatch.setattr(mixup_module, "draw_order", lambda n: torch.arange(n).flip(0))
    mixed = 0.25 * batch.images + 0.75 * batch.images.flip(0)
    weights, logits = torch.where(batch.y == 0, 2 / 3, 2.0), vit.logits(mixed)
    own = weights * F.cross_entropy(logits, batch.y, reduction="none")
    other = weights.flip(0) * F.cross_entropy(logits, batch.y.flip(0), reduction="none")
    expected = (0.25 * own + 0.75 * other).mean()
    assert step(batch)["total"].item() == pytest.approx(expected.item(), rel=1e-5)


GROUP = torch.tensor([0] * 900 + [1] * 90 + [3] * 10)


def drawn_counts(weights):
    torch.manual_seed(0)
    drawn = torch.multinomial(weights, 30_000, replacement=True)
    return torch.bincount(GROUP[drawn], minlength=4)


def test_rwg_and_groupdro_draw_every_group_equally_often(vit):
    for step in (RwgStep(vit, STILL), GroupDroStep(vit, STILL, 4)):
        counts = drawn_counts(step.sampling(GROUP))
        assert counts[2] == 0
        assert (counts[[0, 1, 3]] - 10_000).abs().max() < 5 * (30_000 * 2 / 9) ** 0.5


def test_erm_and_groupdro_without_balance_draw_every_image_once(vit):
    assert ErmStep(vit, STILL).sampling(GROUP) is None
    assert GroupDroStep(vit, Recipe(group_balanced=False), 4).sampling(GROUP) is None


def test_jtt_draws_errors_as_much_more_often_as_the_recipe_says(vit):
    errors = GROUP == 3
    counts = drawn_counts(JttStep(vit, Recipe(jtt_weight=99.0), errors).sampling(GROUP))
    share = 10 * 99 / (10 * 99 + 990)
    assert counts[3].item() == pytest.approx(30_000 * share, abs=5 * (30_000 / 4) ** 0.5)


def test_true_masks_move_with_the_image(batch):
    oracle = build_oracle_vit(num_classes=2, image_size=64)
    masks = torch.zeros(6, 64, 64, dtype=torch.bool)
    masks[:, :32, :32] = True  # upper left quarter
    moving = batch._replace(pixel_masks=masks)
    seen = ErmStep(oracle, Recipe(augment="flip")).augmented(moving)
    mirrored = (seen.images != batch.images).flatten(1).any(1)
    assert 0 < mirrored.sum() < 6
    left = torch.zeros(8, 8, dtype=torch.bool)
    left[:4, :4] = True
    for image in range(6):
        assert torch.equal(seen.keep[image], left.flip(-1) if mirrored[image] else left)


def test_masks_stay_where_images_do(batch):
    oracle = build_oracle_vit(num_classes=2, image_size=64)
    keep = torch.rand(6, 8, 8) < 0.5
    seen = ErmStep(oracle, Recipe(augment="jitter")).augmented(batch._replace(keep=keep))
    assert torch.equal(seen.keep, keep)


def test_methods(vit):
    ifam = build_ifam(num_classes=2, image_size=64)
    parts = build_pdiscoformer(num_classes=2, image_size=64)
    errors = torch.ones(3, dtype=torch.bool)
    assert type(make_step("erm", vit, STILL, 4)) is ErmStep
    assert type(make_step("rwg", vit, STILL, 4)) is RwgStep
    assert type(make_step("mixup", vit, STILL, 4)) is MixupStep
    assert type(make_step("groupdro", vit, STILL, 4)) is GroupDroStep
    assert type(make_step("jtt", vit, STILL, 4)) is ErmStep
    assert type(make_step("jtt", vit, STILL, 4, errors)) is JttStep
    assert type(make_step("ifam", ifam, STILL, 4)) is IfamStep
    assert type(make_step("parts", parts, STILL, 4)) is PartsStep
