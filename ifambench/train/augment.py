"""Random changes of training images: colour jitter, and the affine pair of equivariance."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_MAX_ANGLE = math.pi / 2
_SCALE = (0.8, 1.4)
_MAX_SHIFT = 0.22  # of half the image side, 0.11 of the side as published


class AffinePair(NamedTuple):
    """A transform of the image and its inverse, as (2, 3) matrices of `affine_grid`."""

    forward: Tensor
    backward: Tensor


def colour_jitter(images: Tensor, strength: float) -> Tensor:
    """Scale every channel by 1 ± `strength` and shift it by ± 3/4 of that; (B, 3, H, W)."""
    shape = (len(images), images.shape[1], 1, 1)
    scale = 1 + (2 * torch.rand(shape) - 1) * strength
    shift = (2 * torch.rand(shape) - 1) * strength * 0.75
    return images * scale.to(images) + shift.to(images)


def draw_affine() -> AffinePair:
    """One random rotation, scale and shift (angles, scales and shifts as published)."""
    angle = (2 * torch.rand(()) - 1) * _MAX_ANGLE
    scale = _SCALE[0] + (_SCALE[1] - _SCALE[0]) * torch.rand(())
    shift = ((2 * torch.rand(2) - 1) * _MAX_SHIFT)[:, None]
    cosine, sine = angle.cos(), angle.sin()
    linear = torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])]) / scale
    inverse = torch.linalg.inv(linear)
    return AffinePair(
        torch.cat([linear, shift], dim=1), torch.cat([inverse, -inverse @ shift], dim=1)
    )


def warp(maps: Tensor, matrix: Tensor) -> Tensor:
    """Bilinear affine warp about the centre, zero outside; (B, C, h, w)."""
    grid = F.affine_grid(
        matrix.to(maps).expand(len(maps), 2, 3), list(maps.shape), align_corners=False
    )
    return F.grid_sample(maps, grid, align_corners=False)
