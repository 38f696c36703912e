"""Warps and their inverses, and what each augmentation does to images and masks."""

import pytest
import torch

from ifambench.models.base import DataConfig
from ifambench.train.augment import augment, colour_jitter, draw_affine, draw_crop, draw_cub, warp
from ifambench.train.planckian import illuminants, illuminate
from ifambench.train.recipes import Recipe

CONFIG = DataConfig(64)


def smooth_image() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    blob = torch.exp(-(x.square() + (y - 0.2).square()) / 0.05)
    return blob[None, None].expand(2, 3, 64, 64).contiguous()


def test_identity_warp_changes_nothing():
    image = smooth_image()
    assert torch.allclose(warp(image, torch.eye(2, 3)), image, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_the_backward_warp_undoes_the_forward_warp(seed):
    torch.manual_seed(seed)
    image, pair = smooth_image(), draw_affine(64)
    moved = warp(image, pair.forward)
    assert (moved - image).abs().max() > 0.1
    assert (warp(moved, pair.backward) - image).abs().max() < 0.05


def test_a_pair_moves_the_result_by_whole_pixels_up_to_a_ninth_of_the_side():
    torch.manual_seed(0)
    pairs = [draw_affine(336) for _ in range(2000)]
    forward, backward = (torch.stack(matrices) for matrices in zip(*pairs, strict=True))
    pixels = backward[:, :, 2] * 168  # where the centre goes; the side has length 2
    assert torch.allclose(pixels, pixels.round(), atol=1e-3)
    assert pixels.abs().amax() == round(0.11 * 336)
    scale = backward[:, :, :2].det().sqrt()
    assert scale.min() == pytest.approx(0.8, abs=0.01)
    assert scale.max() == pytest.approx(1.4, abs=0.01)
    assert torch.allclose(forward[:, :, :2] @ backward[:, :, :2], torch.eye(2), atol=1e-6)
    moved = forward[:, :, :2] @ backward[:, :, 2:] + forward[:, :, 2:]
    assert moved.abs().amax() < 1e-6


@pytest.mark.parametrize("kind", ["crop", "cub"])
def test_mixed_precision_does_not_move_a_pixel(kind):
    images, masks = shapes()
    recipe, found = Recipe(augment=kind), []
    for mixed in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            found.append(augment(recipe, images, masks, CONFIG))
    assert torch.equal(found[0].images, found[1].images)
    assert torch.equal(found[0].masks, found[1].masks)


def test_mixed_precision_keeps_the_inverse_of_a_pair():
    found = []
    for mixed in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            pair = draw_affine(64)
            found.append((*pair, warp(smooth_image(), pair.forward)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_jitter_is_affine_per_image_and_channel_and_off_at_zero():
    torch.manual_seed(0)
    image = smooth_image()
    jittered = colour_jitter(image, 0.2)
    assert torch.equal(colour_jitter(image, 0.0), image)
    scale = (jittered[..., 32, 32] - jittered[..., 0, 0]) / (image[..., 32, 32] - image[..., 0, 0])
    assert (scale - 1).abs().max() <= 0.2 + 1e-5
    assert scale.flatten().unique().numel() == 6


def shapes(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright rectangles on black, normalised, and their masks."""
    masks = torch.zeros(n, 64, 64, dtype=torch.bool)
    masks[:, 20:40, 8:28] = True
    return torch.where(masks[:, None], 0.6, -1.0).expand(n, 3, 64, 64).contiguous(), masks


def test_none_changes_nothing():
    images, masks = shapes()
    found = augment(Recipe(augment="none"), images, masks, CONFIG)
    assert torch.equal(found.images, images)
    assert torch.equal(found.masks, masks)


@pytest.mark.parametrize("kind", ["flip", "crop"])
def test_the_mask_moves_with_the_object(kind):
    torch.manual_seed(0)
    images, masks = shapes(32)
    found = augment(Recipe(augment=kind, jitter=0.0), images, masks, CONFIG)
    assert not torch.equal(found.images, images)
    bright = found.images[:, 1] > -0.2
    assert torch.equal(bright, found.masks)


def test_a_crop_also_changes_the_colours_of_each_channel():
    torch.manual_seed(0)
    images = torch.ones(200, 3, 8, 8)
    found = augment(Recipe(augment="crop", jitter=0.2), images, None, CONFIG).images
    assert torch.allclose(found, found[..., :1, :1].expand_as(found))  # of one colour still
    assert found[:, 0, 0, 0].unique().numel() > 190
    assert (found - 1).abs().max() <= 0.2 + 0.15 + 1e-5
    assert (found[:, 0] != found[:, 1]).any()


def test_the_mask_moves_with_the_object_and_outside_is_black_in_cub():
    torch.manual_seed(0)
    images, masks = shapes(32)
    found = augment(Recipe(augment="cub"), images, masks, CONFIG)
    assert ((found.images[:, 1] > -0.2) == found.masks).float().mean() > 0.999
    moved = augment(Recipe(augment="cub"), torch.ones_like(images), None, CONFIG)
    assert moved.masks is None
    assert moved.images.amin() == pytest.approx(-1.0)


def test_a_flip_mirrors_half_of_the_images_exactly():
    torch.manual_seed(0)
    images = torch.randn(1000, 3, 4, 4)
    found, _ = augment(Recipe(augment="flip"), images, None, CONFIG)
    mirrored = (found == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(found[~mirrored], images[~mirrored])
    assert 400 < mirrored.sum() < 600


def test_a_crop_lies_inside_the_image_and_has_70_to_100_percent_of_its_area():
    torch.manual_seed(0)
    matrices = draw_crop(2000, 0.7)
    half = matrices[:, :, :2].diagonal(dim1=1, dim2=2).abs()
    assert (half + matrices[:, :, 2].abs()).amax() <= 1 + 1e-6
    area = half.prod(1)
    assert 0.65 < area.min() < 0.75
    assert 0.95 < area.max() <= 1
    assert 0.4 < (matrices[:, 0, 0] < 0).float().mean() < 0.6


def test_cub_scales_by_08_to_12_and_shifts_by_up_to_a_fifth_of_the_side():
    torch.manual_seed(0)
    matrices = draw_cub(2000)
    linear, shift = matrices[:, :, :2], matrices[:, :, 2]
    scale = linear.det().abs().rsqrt()
    assert scale.min() == pytest.approx(0.8, abs=0.01)
    assert scale.max() == pytest.approx(1.2, abs=0.01)
    moved = torch.linalg.solve(linear, shift)  # in the result, whose side has length 2
    assert moved.abs().amax() == pytest.approx(0.4, abs=0.01)
    assert 0.4 < (linear.det() < 0).float().mean() < 0.6


def test_illuminants_get_bluer_with_temperature_and_leave_green():
    found = illuminants()
    assert found.shape == (25, 3)
    assert (found[:, 1] == 1).all()
    assert (found[:, 0].diff() < 0).all()
    assert (found[:, 2].diff() > 0).all()


def test_four_of_five_images_are_lit_by_an_illuminant_and_cut_at_white():
    torch.manual_seed(0)
    grey = CONFIG.normalise(torch.full((2000, 2, 2, 3), 128, dtype=torch.uint8).numpy())
    pixels = illuminate(grey, CONFIG) * 0.5 + 0.5
    changed = (pixels != grey * 0.5 + 0.5).flatten(1).any(1)
    assert changed.float().mean() == pytest.approx(0.8, abs=0.05)
    assert pixels.amax() <= 1
    assert torch.allclose(pixels[:, 1], torch.tensor(128 / 255))
    ratios = (pixels[changed, 0, 0, 0] / pixels[changed, 1, 0, 0]).unique()
    assert len(ratios) == 25
