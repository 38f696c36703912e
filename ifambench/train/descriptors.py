"""What pretraining predicts of hidden patches: gradient histograms, or plain pixels.

`gradient_histograms` is a simplified form of the descriptor of Dalal and Triggs (2005), as in
MaskFeat (Wei et al. 2022, arXiv 2112.09133): gradient energy per orientation, on a log scale, and
the mean colour.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOOR = 1e-3  # added to the energy before the logarithm


def gradient_histograms(images: Tensor, patch: int, orientations: int = 6) -> Tensor:
    """Mean colour and log gradient energy per orientation of every patch.

    Args:
        images: (B, 3, H, W), normalised.
        patch: Side of a patch in pixels.
        orientations: Number of orientation bins over 180 degrees.

    Returns:
        (B, N, 3 + orientations), patches in raster order.
    """
    magnitude, angle = _gradient(images.mean(dim=1, keepdim=True))
    width = math.pi / orientations
    energies = []
    for bin_number in range(orientations):
        distance = (angle - (bin_number + 0.5) * width).abs()
        distance = torch.minimum(distance, math.pi - distance)
        energies.append(magnitude * (1 - distance / width).clamp_min(0))
    energy = F.avg_pool2d(torch.cat(energies, dim=1), patch)
    colour = F.avg_pool2d(images, patch)
    return torch.cat([colour, (energy + _FLOOR).log()], dim=1).flatten(2).transpose(1, 2)


def pixels(images: Tensor, patch: int) -> Tensor:
    """The pixels of every patch, (B, N, 3 patch^2): the target of He et al. (arXiv 2111.06377)."""
    return F.unfold(images, patch, stride=patch).transpose(1, 2)


TARGETS = {"gradients": gradient_histograms, "pixels": pixels}


def _gradient(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitude and orientation in [0, pi) of the central difference, (B, 1, H, W) each."""
    wide = F.pad(grey, (1, 1, 0, 0), mode="replicate")
    tall = F.pad(grey, (0, 0, 1, 1), mode="replicate")
    dx = (wide[..., 2:] - wide[..., :-2]) / 2
    dy = (tall[..., 2:, :] - tall[..., :-2, :]) / 2
    return (dx.square() + dy.square()).sqrt(), torch.atan2(dy, dx) % math.pi
