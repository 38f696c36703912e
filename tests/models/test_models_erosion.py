"""Masks without their outermost patches, and true masks by the share of a patch they cover."""

import pytest
import torch
from torch import Tensor

from ifambench.models.ifam import Ifam
from ifambench.models.interventions import Interventions
from ifambench.models.late_mask import build_late_vit
from ifambench.models.masks import erode, straight_through_mask
from ifambench.models.timm_vit import build_oracle_vit
from ifambench.predict.oracle import oracle_patches
from tests.models.small_ifam import some_images, tiny_ifam
from tests.models.small_models import CLASSES, SIDE


def drawn(*rows: str) -> Tensor:
    """A mask from text, (1, h, w); `#` is selected."""
    return torch.tensor([[[c == "#" for c in row] for row in rows]])


BLOCK = drawn("......", ".####.", ".####.", ".####.", ".####.", "......")
CORE = drawn("......", "......", "..##..", "..##..", "......", "......")


def test_the_outermost_patches_go() -> None:
    assert torch.equal(erode(BLOCK, 1), CORE)
    assert torch.equal(erode(BLOCK, 0), BLOCK)
    assert erode(BLOCK, 1).dtype is torch.bool


def test_diagonal_neighbours_do_not_count() -> None:
    plus = drawn(".....", "..#..", ".###.", "..#..", ".....")
    assert torch.equal(erode(plus, 1, least=1), drawn(".....", ".....", "..#..", ".....", "....."))


def test_outside_the_image_is_background() -> None:
    everything = torch.ones(1, 5, 5, dtype=torch.bool)
    inside = drawn(".....", ".###.", ".###.", ".###.", ".....")
    assert torch.equal(erode(everything, 1), inside)


def test_a_mask_that_would_be_too_small_stays() -> None:
    assert torch.equal(erode(CORE, 1), CORE)
    assert torch.equal(erode(BLOCK, 5), CORE)  # the second time would leave nothing
    assert torch.equal(erode(BLOCK, 1, least=5), BLOCK)
    assert not erode(torch.zeros(2, 4, 4, dtype=torch.bool), 1).any()


def test_images_do_not_depend_on_each_other() -> None:
    masks = torch.cat([BLOCK, CORE, torch.ones_like(BLOCK)])
    alone = torch.cat([erode(mask[None], 1) for mask in masks])
    assert torch.equal(erode(masks, 1), alone)


def test_soft_masks_have_the_least_of_the_neighbourhood_and_a_gradient() -> None:
    soft = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = erode(soft, 1, least=0)
    padded = torch.nn.functional.pad(soft, (1, 1, 1, 1))
    around = [padded[:, a : a + 5, b : b + 5] for a, b in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))]
    assert torch.equal(found, torch.stack(around).amin(0))
    (gradient,) = torch.autograd.grad(found.sum(), soft)
    assert gradient.sum() == (found > 0).sum()


def test_soft_and_hard_masks_erode_alike() -> None:
    assert torch.equal(erode(BLOCK.float(), 1), CORE.float())


def test_straight_through_is_the_eroded_mask_forward() -> None:
    maps = torch.stack([BLOCK.float() * 0.8, 0.9 - BLOCK.float() * 0.8], dim=1).requires_grad_()
    mask = straight_through_mask(maps, erosion=1)
    assert torch.equal(mask, CORE.float())
    (gradient,) = torch.autograd.grad(mask.sum(), maps)
    assert (gradient[:, 0] == 1).all()  # of every patch, also of those that were taken away
    assert (gradient[:, 1] == 0).all()


def mostly_foreground(mask_gradient: str = "detached") -> Ifam:
    """A model that selects connected patches, on a grid of 6 x 6."""
    model = tiny_ifam(mask_gradient=mask_gradient, img_size=48)
    with torch.no_grad():
        model.stage_1.fc_landmarks.weight[-1] *= 1.3
    return model


@pytest.mark.parametrize("mask_gradient", ["detached", "straight-through"])
def test_training_and_evaluation_erode(mask_gradient: str) -> None:
    model = mostly_foreground(mask_gradient)
    images = some_images(model)
    with torch.no_grad():
        whole = model.selection(images)
        model.mask_erosion = 1
        mask = model.selection(images)
        scores = model.stage_1.scores(model.stage_1.tokens(images))
        assert torch.equal(model.training_mask(scores) > 0, mask)
    assert torch.equal(mask, erode(whole, 1))
    assert not torch.equal(mask, whole)


def test_parts_are_removed_before_the_mask_is_eroded() -> None:
    model = mostly_foreground()
    images = some_images(model)
    with torch.no_grad():
        model.interventions = Interventions(remove_parts=(0,))
        without = model.selection(images)
        model.mask_erosion = 1
        assert torch.equal(model.selection(images), erode(without, 1))
        assert not torch.equal(model.selection(images), without)


@pytest.mark.parametrize("build", [build_oracle_vit, build_late_vit])
def test_share_of_a_patch_that_makes_it_the_object(build: object) -> None:
    half = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    half[:, :4, :8] = True  # half of the first patch
    half[:, 8:13, :8] = True  # five eighths of the one below
    found = {
        share: oracle_patches(build(CLASSES, SIDE, mask_coverage=share), half.numpy())[0, :2, 0]  # type: ignore[operator]
        for share in (0.0, 0.5, 0.7)
    }
    assert {share: kept.tolist() for share, kept in found.items()} == {
        0.0: [True, True],
        0.5: [False, True],
        0.7: [False, False],
    }
    assert oracle_patches(build(CLASSES, SIDE), half.numpy())[0, :2, 0].tolist() == [False, True]  # type: ignore[operator]
