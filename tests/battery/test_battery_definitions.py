"""T1, T3 to T7, T9 and T10 against their definitions: what is easy to get wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from ifambench.battery import attack
from ifambench.battery.attack import _attacked, _room, _start, background_attack
from ifambench.battery.controls import centre_masks, cut_masks, random_masks
from ifambench.battery.fills import noise_images, to_patches
from ifambench.battery.masked import strength
from ifambench.battery.mediation import _noise
from ifambench.battery.randomise import randomised
from ifambench.battery.shapes import _exchanged, _texture
from ifambench.battery.swaps import RENDERED, swapped
from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash
from ifambench.models.base import Selection
from ifambench.models.ifam import Ifam
from ifambench.models.tokens import embed
from tests.battery.battery_support import ROWS, battery, no_grad, values, whole_part
from tests.battery.leaky import AveragePool, honest, leaking

MODEL = honest()
DRAWS = 2
PART = whole_part(MODEL, draws=DRAWS)
LABELS = ROWS["y"].to_numpy()
MASK = no_grad(MODEL.select, PART.images).mask
PIXELS = MASK.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]


def correct(images, keep):
    return (no_grad(MODEL.logits_from_patches, images, keep).argmax(1).numpy() == LABELS) * 1.0


def test_the_mask_of_the_tests_selects_some_patches():
    assert PIXELS.shape[-2:] == PART.images.shape[-2:]
    assert MASK.flatten(1).any(1).all()
    assert not MASK.flatten(1).all(1).any()


def test_the_strength_orders_patches_whose_foreground_is_1():
    scores = torch.tensor([[30.0, 40.0, 0.3, -0.2, -60.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    maps = scores.softmax(dim=0).view(1, 2, 1, 5)
    selection = Selection(maps[:, 0] > maps[:, 1], 1 - maps[:, 1], maps)
    assert selection.foreground[0, 0, 0] == selection.foreground[0, 0, 1] == 1
    np.testing.assert_allclose(strength(selection)[0, 0], scores[0], rtol=1e-4)


@pytest.mark.parametrize("condition", RENDERED)
def test_a_mask_inside_of_the_object_leaves_no_effect_of_the_content(condition):
    inside = torch.from_numpy(PART.coverage == 1)
    assert inside.any()
    other = no_grad(swapped, PART, condition).images
    assert not torch.equal(other, PART.images)
    before, after = (no_grad(PART.masked.given, images, inside) for images in (PART.images, other))
    assert torch.equal(before, after)


@pytest.mark.parametrize("fill", ["mean", "noise", "blur"])
def test_closure_asks_the_whole_model_about_the_shown_part_alone(fill):
    content = no_grad(PART.fill, fill).content
    shown = torch.where(PIXELS, PART.images, content)
    again = no_grad(MODEL.select, shown).mask
    found = battery(MODEL, "T5")
    iou = (MASK & again).sum((1, 2)) / (MASK | again).sum((1, 2))
    assert iou.min() < 1
    np.testing.assert_allclose(values(found, "T5", "iou", fill), iou, rtol=1e-6)
    before, after = (no_grad(MODEL.logits, images).argmax(1) for images in (PART.images, shown))
    np.testing.assert_array_equal(values(found, "T5", "agrees", fill), before == after)


def test_a_leak_is_the_largest_change_of_any_logit():
    model = leaking(AveragePool)
    filled = torch.where(PIXELS, PART.images, 0.0)
    before, after = (
        no_grad(model.logits_from_patches, images, MASK) for images in (PART.images, filled)
    )
    found = battery(model, "T1", fills=("zero",))
    largest = (after - before).abs().amax(1)
    assert (largest > 1.1 * (after - before).abs().mean(1)).any()
    np.testing.assert_allclose(values(found, "T1", "logit_change"), largest, rtol=0, atol=1e-6)


def test_the_leak_of_the_gradient_is_the_steepest_pixel_outside_for_the_predicted_class():
    model = leaking(AveragePool)
    part = whole_part(model)
    pixels = part.images.clone().requires_grad_()
    target = model.logits_from_patches(pixels, MASK).gather(1, part.target_tensor[:, None]).sum()
    (slope,) = torch.autograd.grad(target, pixels)
    steepest = torch.where(PIXELS, 0, slope.abs()).flatten(1).amax(1)
    assert set(part.targets.tolist()) == {0, 1}
    inside = torch.where(PIXELS, slope.abs(), 0).flatten(1).amax(1)
    assert (inside > 1.1 * steepest).any()
    found = values(battery(model, "T1", fills=("zero",)), "T1", "gradient")
    np.testing.assert_allclose(found, steepest, rtol=1e-4)


def test_the_change_between_batches_is_that_to_images_alone():
    """A model that tells the size of its batch: images alone get another logit."""

    class Counting(Ifam):
        def logits_from_patches(self, images, keep):
            return super().logits_from_patches(images, keep) + 0.25 * (len(images) > 1)

    found = values(battery(leaking(Counting), "T1", fills=("zero",)), "T1", "batch_change")
    np.testing.assert_allclose(found, 0.25, atol=1e-5)


def test_the_leak_of_an_embedding_is_the_largest_change_of_another_token():
    model = honest()
    embedding = model.stage_2.vit.patch_embed
    embedding.proj = nn.Conv2d(3, embedding.proj.out_channels, 12, stride=8, padding=2)
    part = whole_part(model)
    changes = []
    for name, image in zip(part.ids, part.images, strict=True):
        patch = Draws(stable_hash("battery", "patch", name), 0).integer(16)
        row, column = divmod(patch, 4)
        altered, noise = image.clone(), 100 * noise_images([name], model.data_config, 0)[0]
        at = (..., slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
        altered[at] = noise[at]
        tokens = no_grad(embed, model.stage_2.vit, torch.stack([image, altered]))
        change = (tokens[1] - tokens[0]).abs()
        change[model.num_prefix_tokens + patch] = 0
        changes.append(float(change.max()))
    found = values(battery(model, "T2"), "T2", "token_change")
    np.testing.assert_allclose(found, changes, rtol=1e-4)


def test_the_mean_image_is_the_mean_of_the_images():
    mean = no_grad(PART.fill, "mean").content
    torch.testing.assert_close(mean[0], PART.images.mean(0), rtol=0, atol=1e-5)
    assert torch.equal(mean[0], mean[-1])


@pytest.mark.parametrize("condition", ["original", "other_rand"])
def test_recall_and_admission_are_those_of_the_pixels(condition):
    found = battery(MODEL, "T4")
    mask = MASK if condition == "original" else no_grad(swapped, PART, condition).selection.mask
    pixels = mask.repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()
    common = (pixels & PART.objects).sum((1, 2))
    recall, outside = common / PART.objects.sum((1, 2)), 1 - common / pixels.sum((1, 2))
    np.testing.assert_allclose(values(found, "T4", "recall", condition), recall)
    np.testing.assert_allclose(values(found, "T4", "admission", condition), outside)
    area = mask.float().mean((1, 2))
    np.testing.assert_allclose(values(found, "T4", "area", condition), area, rtol=1e-6)
    if condition != "original":
        iou = (MASK & mask).sum((1, 2)) / (MASK | mask).sum((1, 2))
        np.testing.assert_allclose(values(found, "T4", "iou", condition), iou, rtol=1e-6)


def test_silhouettes_of_random_shape_have_the_area_and_not_the_shape():
    found = battery(MODEL, "T6", draws=DRAWS)
    blank = torch.zeros_like(PART.images)
    random = [
        torch.from_numpy(random_masks(PART.area, (4, 4), PART.ids, 0, draw))
        for draw in range(DRAWS)
    ]
    assert all((mask.sum((1, 2)) == MASK.sum((1, 2))).all() for mask in random)
    assert not any(torch.equal(mask, MASK) for mask in random)
    expected = np.mean([correct(blank, mask) for mask in random], axis=0)
    measured = values(found, "T6", "silhouette_correct", "random_shape")
    np.testing.assert_array_equal(measured, expected)


def test_silhouettes_of_texture_are_judged_on_the_texture():
    found, texture = battery(MODEL, "T6", draws=DRAWS), no_grad(_texture, PART).content
    shaped = correct(texture, MASK)
    assert (shaped != correct(torch.zeros_like(texture), MASK)).any()
    np.testing.assert_array_equal(values(found, "T6", "silhouette_correct", "texture"), shaped)
    random = [
        correct(texture, torch.from_numpy(random_masks(PART.area, (4, 4), PART.ids, 0, draw)))
        for draw in range(DRAWS)
    ]
    measured = values(found, "T6", "silhouette_correct", "random_shape_texture")
    np.testing.assert_array_equal(measured, np.mean(random, axis=0))


def test_the_texture_is_that_of_patches_which_the_other_mask_shows():
    texture = no_grad(_texture, PART)
    assert texture.known.all()
    places = {name: k for k, name in enumerate(PART.ids)}
    for k, (name, y) in enumerate(zip(PART.ids, LABELS, strict=True)):
        other = places[PART.work.partners.of("any_class", name, int(y))]
        shown = to_patches(PART.images[other][None], (4, 4))[0][MASK[other].flatten()]
        for patch in to_patches(texture.content[k][None], (4, 4))[0]:
            assert any(torch.equal(patch, one) for one in shown)


def test_an_exchanged_mask_is_of_the_class_and_of_the_own_area():
    selection = no_grad(MODEL.select, PART.images)
    places = {name: k for k, name in enumerate(PART.ids)}
    other = [
        places[PART.work.partners.of("same", name, int(y))]
        for name, y in zip(PART.ids, LABELS, strict=True)
    ]
    assert (LABELS[other] == LABELS).all()
    soft = strength(selection)[other]
    masks = cut_masks(MASK[other].numpy(), soft, PART.area, PART.ids, 0)
    assert (masks.sum((1, 2)) == np.minimum(PART.area, PART.area[other])).all()
    assert (PART.area < PART.area[other]).any()
    part, seen = whole_part(MODEL), []
    given = part.masked.given
    part.masked.given = lambda images, keep: seen.append((images, keep)) or given(images, keep)
    found = no_grad(_exchanged, part)
    ((pixels, keep),) = seen
    assert torch.equal(pixels, PART.images)
    np.testing.assert_array_equal(keep.numpy(), masks)
    np.testing.assert_array_equal(found, correct(PART.images, torch.from_numpy(masks)))


def test_controls_of_equal_area_and_the_true_mask():
    found = battery(MODEL, "T7", draws=DRAWS)
    masks = {
        "shifted": MASK.roll((2, 2), dims=(1, 2)),
        "true": torch.from_numpy(PART.coverage > MODEL.mask_coverage),
        "center": torch.from_numpy(centre_masks(PART.area, (4, 4), PART.ids, 0)),
    }
    draws = [
        torch.from_numpy(random_masks(PART.area, (4, 4), PART.ids, 0, draw))
        for draw in range(DRAWS)
    ]

    def score(keep):
        probability = no_grad(MODEL.logits_from_patches, PART.images, keep).double().softmax(1)
        return probability[range(len(LABELS)), PART.targets].numpy()

    expected = {name: score(mask) for name, mask in masks.items()}
    expected["random"] = np.mean([score(mask) for mask in draws], axis=0)
    for name, scores in expected.items():
        np.testing.assert_allclose(values(found, "T7", "score", name), scores, rtol=0, atol=1e-6)
    assert np.ptp(expected["random"] - score(draws[0])) > 1e-4  # one draw is not the mean


def test_self_iou_under_noise_is_that_of_two_noisy_masks():
    """Not of a noisy mask with the one without noise."""
    tokens, masks = no_grad(MODEL.stage_1.tokens, PART.images), []
    for draw in range(2):
        noise = [_noise(PART, MODEL, name, draw) for name in PART.ids]
        masks.append(no_grad(MODEL.select_from, tokens, torch.cat(noise)).mask)
    one, two = masks
    assert not torch.equal(one, two)
    assert not torch.equal(one, MASK)
    iou = (one & two).sum((1, 2)) / (one | two).sum((1, 2))
    found = values(battery(MODEL, "T4"), "T4", "self_iou", "gumbel")
    np.testing.assert_allclose(found, iou, rtol=1e-6)


def test_the_random_stage_keeps_the_mean_of_each_tensor_and_its_strongest_patches():
    changed = randomised(MODEL, "stage_1", 0)
    norms = [
        name
        for name in MODEL.stage_1.state_dict()
        if name.endswith(("norm1.weight", "norm.weight"))
    ]
    assert norms
    for name in norms:
        torch.testing.assert_close(
            changed.stage_1.state_dict()[name].mean(), torch.tensor(1.0), rtol=0, atol=1e-3
        )
    soft = strength(no_grad(changed.select, PART.images))
    masks = torch.zeros_like(MASK).flatten(1)
    for k, area in enumerate(PART.area):
        masks[k, torch.from_numpy(soft[k]).flatten().argsort(descending=True)[: int(area)]] = True
    masks = masks.view_as(MASK)
    iou = (MASK & masks).sum((1, 2)) / (MASK | masks).sum((1, 2))
    found = values(battery(MODEL, "T10"), "T10", "mask_iou", "stage_1_same_area")
    np.testing.assert_allclose(found, iou, rtol=1e-6)


@pytest.mark.parametrize("stage", ["stage_1", "stage_2"])
def test_the_whole_model_runs_with_the_random_stage(stage):
    changed = randomised(MODEL, stage, 0)
    mask = no_grad(changed.select, PART.images).mask
    right = no_grad(changed.logits, PART.images).argmax(1).numpy() == LABELS
    found = battery(MODEL, "T10")
    np.testing.assert_array_equal(values(found, "T10", "correct", stage), right)
    area = mask.float().mean((1, 2))
    np.testing.assert_allclose(values(found, "T10", "area", stage), area, rtol=1e-6)
    assert (values(found, "T10", "correct", stage) != correct(PART.images, MASK)).any()


def test_the_attack_starts_anywhere_in_its_room():
    part = whole_part(honest(), attack_epsilon=0.05)
    std = torch.tensor(part.masked.model.data_config.std).view(1, 3, 1, 1)
    moved = (_start(part) - part.images) * std / 0.05
    assert 0.99 < moved.max() <= 1.0001
    assert -1.0001 <= moved.min() < -0.99
    assert abs(float(moved.mean())) < 0.02


def test_the_room_of_the_attack_is_epsilon_in_colours_and_it_is_used_up():
    part = whole_part(honest(), attack_steps=4, attack_epsilon=0.05)
    room, step = _room(part, MASK)
    assert torch.equal(room.outside, ~PIXELS)
    std = torch.tensor(part.masked.model.data_config.std).view(1, 3, 1, 1)
    mean = torch.tensor(part.masked.model.data_config.mean).view(1, 3, 1, 1)
    colours = part.images * std + mean
    low, high = (bound * std + mean for bound in (room.low, room.high))
    torch.testing.assert_close(low, (colours - 0.05).clamp(min=0), rtol=0, atol=1e-6)
    torch.testing.assert_close(high, (colours + 0.05).clamp(max=1), rtol=0, atol=1e-6)
    torch.testing.assert_close((step * std).flatten(), torch.full((3,), 2.5 * 0.05 / 4))


def test_a_mask_counts_as_changed_only_in_the_image_that_succeeds(monkeypatch):
    """Three steps of four images: labels flip and masks move at different steps."""
    flips = [[0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0]]
    moves = [[1, 1, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    steps = iter(torch.tensor(list(zip(flips, moves, strict=True))).bool())
    monkeypatch.setattr(attack, "_outcome", lambda *_: tuple(next(steps)))
    part = whole_part(MODEL, rows=ROWS[:4], attack_steps=2)
    success, changed = no_grad(_attacked, part, part.masked)
    assert success.tolist() == [True, True, False, True]
    assert changed.tolist() == [False, False, False, True]


def test_the_mask_of_a_failure_is_not_told():
    part = whole_part(MODEL, attack_steps=1)
    success, changed = no_grad(background_attack, part)
    assert (success.quantity, changed.quantity) == ("success", "mask_changed")
    np.testing.assert_array_equal(np.isnan(changed.values), success.values == 0)
