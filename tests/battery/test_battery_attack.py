"""T9: what an attack on the background can do, and what a success must have done."""

import numpy as np
import torch
import torch.nn.functional as F

from ifambench.battery.attack import _attacked, _room, background_attack
from ifambench.models.late_mask import build_late_vit
from ifambench.models.timm_vit import OracleVit
from tests.battery.battery_support import battery, no_grad, values, whole_part
from tests.battery.leaky import SelectsEverything, honest, leaking
from tests.models.small_models import CLASSES, SIDE, lively, vit


def test_every_success_changes_the_mask():
    for model in (honest(), honest(mask_gradient="straight-through")):
        found = battery(model, "T9", attack_steps=5)
        success = values(found, "T9", "success")
        assert success.mean() > 0
        changed = values(found, "T9", "mask_changed")
        assert (changed == 1).all()
        assert len(changed) == success.sum()


def test_a_late_mask_is_attacked_without_changing_it():
    torch.manual_seed(0)
    model = lively(build_late_vit(num_classes=CLASSES, image_size=SIDE))
    found = battery(model, "T9", attack_steps=10, attack_epsilon=0.2)
    assert values(found, "T9", "success").any()
    assert (values(found, "T9", "mask_changed") == 0).all()


def test_nothing_outside_or_nothing_heard_is_no_success():
    for model in (leaking(SelectsEverything), vit(OracleVit)):
        assert not values(battery(model, "T9"), "T9", "success").any()


def test_the_gradient_finds_more_than_chance():
    model = honest()
    weak, strong = (
        values(battery(model, "T9", attack_steps=k, attack_epsilon=2 / 255), "T9", "success").sum()
        for k in (0, 8)
    )
    assert strong > weak


def test_from_a_random_start_the_attack_climbs_the_loss_of_the_predicted_label():
    """On a model that is smooth in the pixels outside of its mask."""
    torch.manual_seed(0)
    model = lively(build_late_vit(num_classes=CLASSES, image_size=SIDE))
    part, seen = whole_part(model, attack_steps=6, attack_epsilon=1 / 255), []
    masked = part.masked
    under = masked.under
    masked.under = lambda images, selection: seen.append(images) or under(images, selection)
    no_grad(_attacked, part, masked)
    clean, start, *steps = seen
    assert len(steps) == 6
    assert torch.equal(clean, part.images)
    assert (start != clean).flatten(1).any(1).all()
    labels = torch.from_numpy(part.targets)
    loss = [
        F.cross_entropy(no_grad(model.logits, x, part.batch.masks), labels, reduction="none")
        for x in (start, *steps)
    ]
    assert (loss[1] > loss[0]).all()
    assert (loss[-1] > loss[1]).all()


def test_the_attack_stays_in_its_room():
    part = whole_part(honest(), attack_steps=4)
    seen = []
    masked = part.masked
    select = masked._select

    def watched(images, true_masks):
        seen.append(images.detach().clone())
        return select(images, true_masks)

    masked._select = watched
    no_grad(_attacked, part, masked)
    config, clean = part.work.masked.model.data_config, part.images
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
    room, step = _room(part, part.own.mask)
    moved = False
    for images in seen:
        change = (images - clean) * std
        assert change.abs().max() <= 8 / 255 + 1e-6
        assert not change[~room.outside.expand_as(change)].any()
        colours = images * std + mean
        assert colours.min() >= -1e-6
        assert colours.max() <= 1 + 1e-6
        moved |= bool(change.any())
    assert moved
    assert step.shape == (1, 3, 1, 1)


def test_batches_change_nothing():
    found = [
        no_grad(background_attack, whole_part(honest(), batch_size=size, attack_steps=4))
        for size in (3, 64)
    ]
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one.values, two.values)
