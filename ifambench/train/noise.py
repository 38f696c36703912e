"""Random numbers of a training step, from torch's global CPU generator.

Drawn for the images of all processes, of which this one takes its rows (`ifambench.models.ranks`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.models.masks import gumbel_noise
from ifambench.train.ranks import drawn


def uniform(n: int, *size: int) -> Tensor:
    """Uniform in [0, 1), (n, *size)."""
    return drawn(n, lambda rows: torch.rand(rows, *size))


def gumbel(n: int, *size: int) -> Tensor:
    """Standard Gumbel noise, (n, *size)."""
    return drawn(n, lambda rows: gumbel_noise((rows, *size)))


def dropped_parts(n: int, parts: int, probability: float) -> Tensor | None:
    """Which parts are dropped, (n, parts) bool; None, and no draw, when the probability is 0.

    The draw is that of `torch.nn.functional.dropout1d`.
    """
    if probability == 0:
        return None
    return drawn(n, lambda rows: torch.empty(rows, parts).bernoulli_(1 - probability)) == 0
