"""Planckian jitter: images lit by black bodies of other temperatures.

After Zini et al. 2023 (arXiv 2202.07993): red and blue are scaled against green by the colour of
one of 25 illuminants, 3000 K to 15000 K in steps of 500 K; the result is cut at 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.models.base import DataConfig
from ifambench.train.noise import uniform

_PROBABILITY = 0.8

#: Red, green and blue of the illuminants, by rising temperature.
# fmt: off
_COLOURS: tuple[tuple[float, float, float], ...] = (
    (0.6743, 0.4029, 0.0013), (0.6281, 0.4241, 0.1665), (0.5919, 0.4372, 0.2513),
    (0.5623, 0.4457, 0.3154), (0.5376, 0.4515, 0.3672), (0.5163, 0.4555, 0.4103),
    (0.4979, 0.4584, 0.4468), (0.4816, 0.4604, 0.4782), (0.4672, 0.4619, 0.5053),
    (0.4542, 0.4630, 0.5289), (0.4426, 0.4638, 0.5497), (0.4320, 0.4644, 0.5681),
    (0.4223, 0.4648, 0.5844), (0.4135, 0.4651, 0.5990), (0.4054, 0.4653, 0.6121),
    (0.3980, 0.4654, 0.6239), (0.3911, 0.4655, 0.6346), (0.3847, 0.4656, 0.6444),
    (0.3787, 0.4656, 0.6532), (0.3732, 0.4656, 0.6613), (0.3680, 0.4655, 0.6688),
    (0.3632, 0.4655, 0.6756), (0.3586, 0.4655, 0.6820), (0.3544, 0.4654, 0.6878),
    (0.3503, 0.4653, 0.6933),
)
# fmt: on


def illuminate(images: Tensor, config: DataConfig) -> Tensor:
    """Light four of five images by a random black body.

    Args:
        images: (B, 3, H, W), normalised.
        config: Their mean and std: light acts on the pixels before normalisation.
    """
    n = len(images)
    changed = uniform(n) < _PROBABILITY
    which = (uniform(n) * len(_COLOURS)).long().clamp(max=len(_COLOURS) - 1)
    scale = torch.where(changed[:, None], illuminants()[which], 1.0)
    mean, std = (torch.tensor(v).to(images).view(1, 3, 1, 1) for v in (config.mean, config.std))
    lit = (images * std + mean) * scale[..., None, None].to(images)
    return torch.where(
        changed.to(images.device)[:, None, None, None], (lit.clamp(max=1) - mean) / std, images
    )


def illuminants() -> Tensor:
    """(25, 3) factors of red, green (1) and blue, by rising temperature."""
    colours = torch.tensor(_COLOURS)
    return colours / colours[:, 1:2]
