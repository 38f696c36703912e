"""Other pixels for a part of an image, and the pixels of patches.

Fills of T1, T3 and T5, all normalised, (B, 3, H, W):

- `zero`: 0, the mean colour that the weights expect;
- `mean`: the mean image, over up to 64 of the tested images, chosen by a hash of their ids;
- `noise`: uniform over all colours, independent per pixel, drawn by image id;
- `noise100`: 100 times that, far outside of all colours;
- `other`: another image;
- `blur`: the image itself, blurred as by the operator `blur` of explanations;
- `nan`: not a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash
from ifambench.models.base import DataConfig


def noise_images(ids: Sequence[str], config: DataConfig, seed: int) -> Tensor:
    """Uniform noise over all colours, normalised, (B, 3, H, W) float32 on the CPU."""
    side = config.image_size
    drawn = [
        Draws(stable_hash("battery", "noise", i), seed).uniform(0, 1, 3 * side**2) for i in ids
    ]
    pixels = torch.from_numpy(np.stack(drawn).reshape(-1, 3, side, side))
    mean, std = (
        torch.tensor(v, dtype=pixels.dtype).view(3, 1, 1) for v in (config.mean, config.std)
    )
    return ((pixels - mean) / std).float()


def pixels_of(keep: Tensor, images: Tensor) -> Tensor:
    """A patch mask (B, h, w) at the size of the images, (B, 1, H, W) bool."""
    down, right = images.shape[-2] // keep.shape[-2], images.shape[-1] // keep.shape[-1]
    return keep[:, None].repeat_interleave(down, dim=2).repeat_interleave(right, dim=3)


def to_patches(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) -> (B, n, 3, H / h, W / w), in raster order."""
    batch, channels, height, width = images.shape
    h, w = grid
    cut = images.reshape(batch, channels, h, height // h, w, width // w)
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def from_patches(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """The inverse of `to_patches`."""
    batch, _, channels, down, right = patches.shape
    h, w = grid
    cut = patches.reshape(batch, h, w, channels, down, right).permute(0, 3, 1, 4, 2, 5)
    return cut.reshape(batch, channels, h * down, w * right)
