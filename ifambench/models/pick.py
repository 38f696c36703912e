"""From a relevance map to a set of patches: a fixed share of them, or Otsu's threshold.

Equal values stay together, so that no patch is preferred for its place in the image: of a constant
map every patch is kept. At least one patch is always kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.errors import UsageError

OTSU = 0.0
"""The value of `keep_fraction` that asks for Otsu's threshold."""


def check_keep_fraction(keep_fraction: float) -> float:
    """The fraction, if it is one.

    Raises:
        UsageError: If it is outside [0, 1].
    """
    if not 0 <= keep_fraction <= 1:
        raise UsageError(
            f"keep_fraction must be in [0, 1], is {keep_fraction:g}",
            choices=["0 (Otsu's threshold)", "the share of the patches to keep, up to 1"],
        )
    return keep_fraction


def pick_patches(relevance: Tensor, keep_fraction: float = OTSU) -> Tensor:
    """The most relevant patches of each image.

    Args:
        relevance: (B, h, w), signed.
        keep_fraction: Share of the patches to keep, rounded to whole patches and at least one;
            0 keeps those above Otsu's threshold.

    Returns:
        (B, h, w) bool.
    """
    values = relevance.flatten(1).double()
    lowest = otsu(values) if keep_fraction == OTSU else _largest(values, keep_fraction)
    return (values >= lowest[:, None]).reshape(relevance.shape)


def otsu(values: Tensor) -> Tensor:
    """The lowest value of the upper class of Otsu's threshold, (B, n) -> (B,).

    Of all ways to cut the sorted values into a lower and an upper class, the one with the largest
    variance between the classes, w0 w1 (m1 - m0)^2; exact, without a histogram. The lowest of
    equally good cuts; constant values are one upper class.

    Source: N. Otsu (1979), A threshold selection method from gray-level histograms, IEEE
    Transactions on Systems, Man, and Cybernetics 9.
    """
    n = values.shape[1]
    ordered = values.sort(dim=1).values
    below = torch.arange(n, device=values.device)  # size of the lower class at each cut
    total = ordered.sum(dim=1, keepdim=True)
    lower = ordered.cumsum(dim=1) - ordered  # sum of the values before each one
    gap = (total - lower) / (n - below) - lower / below.clamp(min=1)
    between = below * (n - below) * gap.square()
    # a cut between equal values would separate them; the first one separates nothing
    real = torch.cat([torch.zeros_like(between[:, :1]), ordered.diff(dim=1)], dim=1) > 0
    best = between.masked_fill(~real, 0).argmax(dim=1, keepdim=True)
    return ordered.gather(1, best)[:, 0]


def _largest(values: Tensor, fraction: float) -> Tensor:
    """The smallest of the `fraction` largest values, (B, n) -> (B,)."""
    n = values.shape[1]
    count = max(1, round(fraction * n))
    return values.kthvalue(n - count + 1, dim=1).values
