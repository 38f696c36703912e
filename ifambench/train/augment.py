"""Random changes of training images, on the device, a batch at a time.

    none     nothing
    jitter   every colour channel scaled and shifted
    flip     mirrored with probability 1/2
    crop     a random part of the image at full size, mirrored with probability 1/2, and jitter
    cub      mirrored, lit by another black body, rotated, scaled and shifted: the published
             recipe for CUB and Waterbirds, but on the centre of the photo, where it has a random
             crop after all else

Every image has its own parameters. They are drawn for the batch of all processes from torch's
global CPU generator, see `ifambench.train.ranks`. Masks of the true object move with the image.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.models.base import DataConfig
from ifambench.train.noise import uniform
from ifambench.train.planckian import illuminate
from ifambench.train.recipes import Recipe

GEOMETRIC = frozenset({"flip", "crop", "cub"})
"""Augmentations that move the object."""

_CROP_RATIO = (3 / 4, 4 / 3)
_CUB_ANGLE = math.pi / 2
_CUB_SHIFT = 0.2  # of the image side
_CUB_SCALE = (0.8, 1.2)

_PAIR_ANGLE = math.pi / 2
_PAIR_SCALE = (0.8, 1.4)
_PAIR_SHIFT = 0.11  # of the image side


class AffinePair(NamedTuple):
    """A transform of the image and its inverse, as (2, 3) matrices of `affine_grid`."""

    forward: Tensor
    backward: Tensor


class Augmented(NamedTuple):
    """Changed images and what became of the masks."""

    images: Tensor
    """(B, 3, H, W), normalised."""
    masks: Tensor | None
    """(B, H, W) bool, or None."""


def augment(recipe: Recipe, images: Tensor, masks: Tensor | None, config: DataConfig) -> Augmented:
    """Apply the recipe's augmentation, see the module docstring.

    Args:
        recipe: Kind and strength.
        images: (B, 3, H, W), normalised by `config`.
        masks: (B, H, W) bool, pixels of the true object, or None.
        config: Mean and std of the images: outside a moved image is black, not grey.
    """
    kind = recipe.augment
    if kind == "none":
        return Augmented(images, masks)
    if kind == "jitter":
        return Augmented(colour_jitter(images, recipe.jitter), masks)
    if kind == "flip":
        return _mirrored(images, masks)
    if kind == "crop":
        moved = _moved(images, masks, draw_crop(len(images), recipe.crop_area), None)
        return moved._replace(images=colour_jitter(moved.images, recipe.jitter))
    black = -torch.tensor(config.mean) / torch.tensor(config.std)
    return _moved(illuminate(images, config), masks, draw_cub(len(images)), black)


def colour_jitter(images: Tensor, strength: float) -> Tensor:
    """Scale every channel by 1 ± `strength` and shift it by ± 3/4 of that; (B, 3, H, W)."""
    size = (images.shape[1], 1, 1)
    scale = 1 + (2 * uniform(len(images), *size) - 1) * strength
    shift = (2 * uniform(len(images), *size) - 1) * strength * 0.75
    return images * scale.to(images) + shift.to(images)


def draw_crop(n: int, least: float) -> Tensor:
    """A window of `least` to all of the area and sides 3:4 to 4:3, mirrored or not; (n, 2, 3)."""
    area = _between((least, 1.0), uniform(n))
    ratio = _between((math.log(_CROP_RATIO[0]), math.log(_CROP_RATIO[1])), uniform(n)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    centre = (2 * uniform(n, 2) - 1) * (1 - torch.stack([width, height], dim=1))
    return _matrices(width * _signs(n), height, torch.zeros(n), centre)


def draw_cub(n: int) -> Tensor:
    """Mirror, rotate by up to 90 degrees, scale by 0.8 to 1.2, shift by up to 0.2; (n, 2, 3)."""
    zoom = 1 / _between(_CUB_SCALE, uniform(n))
    angle = _between((-_CUB_ANGLE, _CUB_ANGLE), uniform(n))
    shift = _between((-2 * _CUB_SHIFT, 2 * _CUB_SHIFT), uniform(n, 2))  # the side has length 2
    matrix = _matrices(zoom * _signs(n), zoom, angle, torch.zeros(n, 2))
    matrix[:, :, 2] = _applied(matrix[:, :, :2], shift)  # the shift is of the result
    return matrix


def draw_affine(side: int) -> AffinePair:
    """One random rotation, scale and shift of the result by whole pixels, drawn as published.

    Args:
        side: Of the image in pixels.
    """
    angle = _between((-_PAIR_ANGLE, _PAIR_ANGLE), torch.rand(()))
    scale = _between(_PAIR_SCALE, torch.rand(()))
    pixels = (_between((-_PAIR_SHIFT, _PAIR_SHIFT), torch.rand(2)) * side).round()
    shift = pixels * (2 / side)  # the side has length 2
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])
    backward = torch.cat([turn.T * scale, shift[:, None]], dim=1)
    return AffinePair(
        torch.cat([turn / scale, -_applied(turn / scale, shift)[:, None]], dim=1), backward
    )


def warp(maps: Tensor, matrix: Tensor, padding: str = "zeros") -> Tensor:
    """Bilinear affine warp about the centre; (B, C, h, w).

    Args:
        maps: What to move.
        matrix: (2, 3) or (B, 2, 3): where each place of the result comes from; sides are 2 long.
        padding: What is outside: `zeros` or `border`.
    """
    # the grid is a matrix product: autocast would round its places by a pixel and more
    with torch.autocast(maps.device.type, enabled=False):
        grid = F.affine_grid(
            matrix.to(maps).expand(len(maps), 2, 3), list(maps.shape), align_corners=False
        )
        return F.grid_sample(maps, grid, padding_mode=padding, align_corners=False)


def _mirrored(images: Tensor, masks: Tensor | None) -> Augmented:
    """Left and right exchanged in half of the images."""
    chosen = (uniform(len(images)) < 0.5).to(images.device)
    images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    if masks is not None:
        masks = torch.where(chosen[:, None, None], masks.flip(-1), masks)
    return Augmented(images, masks)


def _moved(
    images: Tensor, masks: Tensor | None, matrix: Tensor, outside: Tensor | None
) -> Augmented:
    """Images and masks warped; outside is a colour (3,), or None for the border's."""
    if masks is not None:
        masks = warp(masks[:, None].float(), matrix)[:, 0] > 0.5
    if outside is None:
        return Augmented(warp(images, matrix, "border"), masks)
    fill = outside.to(images).view(1, -1, 1, 1)
    return Augmented(warp(images - fill, matrix) + fill, masks)


def _matrices(width: Tensor, height: Tensor, angle: Tensor, centre: Tensor) -> Tensor:
    """(n, 2, 3): a window of `width` x `height` (negative: mirrored), turned, at `centre`."""
    cosine, sine = angle.cos(), angle.sin()
    rows = [
        torch.stack([width * cosine, -height * sine, centre[:, 0]], dim=1),
        torch.stack([width * sine, height * cosine, centre[:, 1]], dim=1),
    ]
    return torch.stack(rows, dim=1)


def _applied(matrix: Tensor, vector: Tensor) -> Tensor:
    """(..., 2, 2) times (..., 2), without a matrix product, which autocast would round."""
    return (matrix * vector[..., None, :]).sum(-1)


def _signs(n: int) -> Tensor:
    """(n,) -1 or 1, each with probability 1/2."""
    return torch.where(uniform(n) < 0.5, -1.0, 1.0)


def _between(bounds: tuple[float, float], uniform: Tensor) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform
