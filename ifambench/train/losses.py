"""The losses of stage 1, on soft part maps (B, K + 1, h, w), background last.

Definitions after PDiscoFormer (arXiv 2407.04538) and iFAM (arXiv 2506.08915). Deviations:

- `orthogonality` is taken between the K + 1 parts, as in the papers; the published iFAM code feeds
  it transposed features, which `official_orthogonality` repeats;
- `presence` takes the best of the batch over all processes, not of each process alone;
- the maps of the transformed copy are warped back bilinearly, not to the nearest patch;
- `rim` is ours and in neither publication: an object-centred prior, see its docstring.

Each is a mean over the images of this process, `presence` the same number on all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.train.ranks import all_max


def presence(maps: Tensor) -> Tensor:
    """1 - mean over parts of the best presence in the batch.

    Presence of a part is the maximum of its 3 x 3 average-pooled map; every foreground part should
    be present in at least one image of the batch. Range [0, 1].
    """
    pooled = F.avg_pool2d(maps[:, :-1], 3, stride=1)  # (B, K, h - 2, w - 2)
    return 1 - all_max(pooled.amax(dim=(0, 2, 3))).mean()


def enforced_presence(maps: Tensor) -> Tensor:
    """Background must be present near the border of every image: mean of -log of its maximum.

    The 3 x 3 average-pooled background map is weighted by the squared distance to the centre,
    scaled to 1 in the corners. This is the cross-entropy to 1; below 1e-12 there is no gradient.
    """
    pooled = F.avg_pool2d(maps[:, -1:], 3, stride=1)[:, 0]  # (B, h - 2, w - 2)
    y = torch.linspace(-1, 1, pooled.shape[1], device=maps.device)
    x = torch.linspace(-1, 1, pooled.shape[2], device=maps.device)
    radial = (y[:, None].square() + x[None, :].square()) / 2
    return -(pooled * radial).amax(dim=(1, 2)).clamp_min(1e-12).log().mean()


def total_variation(maps: Tensor) -> Tensor:
    """Sum of absolute differences of neighbouring patches over all channels, per patch."""
    down = (maps[:, :, 1:] - maps[:, :, :-1]).abs().sum()
    right = (maps[:, :, :, 1:] - maps[:, :, :, :-1]).abs().sum()
    return (down + right) / (maps.shape[0] * maps.shape[2] * maps.shape[3])


def entropy(maps: Tensor) -> Tensor:
    """Mean entropy of the part distribution of a patch, in nats."""
    return -(maps * maps.clamp_min(1e-10).log()).sum(dim=1).mean()


def orthogonality(features: Tensor) -> Tensor:
    """Mean squared cosine between different parts; features (B, D, K + 1)."""
    unit = F.normalize(features, dim=1)
    gram = unit.transpose(1, 2) @ unit  # (B, K + 1, K + 1)
    return (gram - torch.eye(gram.shape[1], device=gram.device)).square().mean()


def official_orthogonality(features: Tensor) -> Tensor:
    """As the published code computes it: between the D dimensions instead of the K + 1 parts.

    It pushes parts apart too, but has a floor near 1 / (K + 1).
    """
    return orthogonality(features.transpose(1, 2))


def equivariance(maps: Tensor, warped_back: Tensor) -> Tensor:
    """1 - mean cosine between the foreground maps and those of a transformed copy, warped back."""
    own, other = maps[:, :-1].flatten(2), warped_back[:, :-1].flatten(2)  # (B, K, h w)
    return 1 - F.cosine_similarity(own, other, dim=2).mean()


def rim(maps: Tensor) -> Tensor:
    """Mean foreground probability of the outermost ring of patches.

    Says that a picture's rim is mostly background, which holds for photos of one object and fails
    for cropped objects. Not in the publications.
    """
    foreground = 1 - maps[:, -1]
    ring = torch.ones_like(foreground[0], dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    return foreground[:, ring].mean()
