"""The pixels that take the place of removed patches.

A fill is one tensor per image, the same for all curves of the image. So removing the least relevant
patches first is the insertion curve read backwards, and the empty end is the fill itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.explain.base import stable_hash
from ifambench.models.base import DataConfig

BLUR = 1 / 20
"""Standard deviation of the blur as a share of the image side (11.2 pixels of 224): the kernel is
Gaussian, cut off at 3 standard deviations, and the border pixels are repeated."""


def fill_of(
    operator: str, pixels: Tensor, ids: Sequence[str], config: DataConfig, seed: int
) -> Tensor:
    """The fill of each image.

    Args:
        operator: One of `operators.FILLS`.
        pixels: (N, 3, H, W), normalised.
        ids: N image ids; noise depends on them and the seed, not on the place in the batch.
        config: How pixels were normalised.
        seed: Of the noise.

    Returns:
        (1, 3, H, W) where one fill is that of all images, else (N, 3, H, W).
    """
    if operator == "noise":
        return torch.stack([_noise(pixels[0], name, seed) for name in ids]).to(pixels)
    if operator == "blur":
        return blurred(pixels)
    colour = pixels.new_zeros(3)
    if operator == "black":
        colour = -pixels.new_tensor(config.mean) / pixels.new_tensor(config.std)
    return colour.view(1, 3, 1, 1).expand(1, 3, *pixels.shape[-2:])


def fill_patches(pixels: Tensor, keep: Tensor, fill: Tensor | float = 0.0) -> Tensor:
    """Pixels (N, 3, H, W) with the fill in the patches where `keep` (N, h, w) is False.

    Args:
        pixels: (N, 3, H, W).
        keep: (N, h, w) bool.
        fill: A number, or (1 or N, 3, H, W).

    Raises:
        ValueError: If the patches do not divide the image.
    """
    (height, width), (h, w) = pixels.shape[-2:], keep.shape[-2:]
    if height % h or width % w:
        raise ValueError(f"a {h}x{w} grid does not divide {height}x{width} pixels")
    whole = (h, height // h, w, width // w)
    patches = pixels.reshape(*pixels.shape[:2], *whole)
    other = fill.reshape(*fill.shape[:2], *whole) if isinstance(fill, Tensor) else fill
    filled = torch.where(keep[:, None, :, None, :, None], patches, other)
    return filled.reshape(pixels.shape)


def blurred(pixels: Tensor) -> Tensor:
    """A Gaussian blur of images (N, 3, H, W), see `BLUR`."""
    for dim in (-1, -2):
        sigma = BLUR * pixels.shape[dim]
        radius = math.ceil(3 * sigma)
        at = torch.arange(-radius, radius + 1, device=pixels.device, dtype=pixels.dtype)
        kernel = torch.exp(-0.5 * (at / sigma) ** 2)
        shape = (1, 1, 1, -1) if dim == -1 else (1, 1, -1, 1)
        weight = (kernel / kernel.sum()).view(shape).repeat(3, 1, 1, 1)
        pad = (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius)
        pixels = F.conv2d(F.pad(pixels, pad, mode="replicate"), weight, groups=3)
    return pixels


def _noise(like: Tensor, name: str, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(stable_hash("noise fill", name, seed))
    return torch.randn(like.shape, generator=generator)
