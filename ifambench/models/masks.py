"""From part probabilities to the mask of stage 2: noise, part dropout, three kinds of gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ifambench.errors import UsageError

#: How the loss of stage 2 reaches stage 1 through the mask.
MASK_GRADIENTS = ("detached", "straight-through", "soft")


def check_mask_gradient(name: str) -> str:
    """The name, if there is such a gradient.

    Raises:
        UsageError: If there is none.
    """
    if name not in MASK_GRADIENTS:
        raise UsageError(f'no mask_gradient "{name}"', choices=MASK_GRADIENTS)
    return name


def gumbel_noise(shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise on the CPU: minus the log of an exponential draw.

    Args:
        shape: (B, K + 1, h, w). All values of an image are drawn before those of the next, patch
            by patch, so the noise of the first images does not depend on how many follow.
        generator: Of the draw; None: torch's global one.
    """
    batch, channels, h, w = shape
    drawn = torch.empty(batch, h, w, channels).exponential_(generator=generator)
    return -drawn.log().permute(0, 3, 1, 2)


def survivors(dropped: Tensor, probability: float, like: Tensor) -> Tensor:
    """Dropout's factors for whole parts: 0, or 1 / (1 - p) where a part is kept.

    Args:
        dropped: (B, K) bool.
        probability: p, with which parts are dropped.
        like: Gives type and device.
    """
    return (~dropped).to(like) / (1 - probability)


def drop_parts(maps: Tensor, dropped: Tensor | None, probability: float) -> Tensor:
    """Part probabilities with some foreground parts at 0, the others and the background unchanged.

    Args:
        maps: (B, K + 1, h, w).
        dropped: (B, K) bool or None.
        probability: With which parts are dropped; it cancels out.
    """
    if dropped is None:
        return maps
    factors = survivors(dropped, probability, maps)[..., None, None]
    kept = maps[:, :-1] * factors * (1 - probability)  # as published: dropout, then undo its scale
    return torch.cat([kept, maps[:, -1:]], dim=1)


def foreground_mask(maps: Tensor) -> Tensor:
    """True where the strongest part beats the background: (B, K + 1, h, w) -> (B, h, w)."""
    return strongest_part(maps) > maps[:, -1]


def strongest_part(maps: Tensor) -> Tensor:
    """The soft mask, in [0, 1]: (B, K + 1, h, w) -> (B, h, w)."""
    return maps[:, :-1].amax(dim=1)


def foreground_log_odds(maps: Tensor) -> Tensor:
    """Log odds of foreground and background, finite: (B, K + 1, h, w) -> (B, h, w).

    The order is that of the soft foreground. That one cannot order the patches itself: in float32
    it is exactly 1 for most of the patches that a trained model selects.
    """
    least = torch.finfo(torch.float32).tiny  # a probability can underflow
    foreground, background = maps[:, :-1].sum(dim=1), maps[:, -1]
    return foreground.clamp(min=least).log() - background.clamp(min=least).log()


def straight_through_mask(maps: Tensor, erosion: int = 0) -> Tensor:
    """The hard mask, exactly 0 or 1, with the gradient of the sum of the parts, (B, h, w).

    As published, the decision looks at the strongest part and the gradient at the sum.
    """
    total = maps[:, :-1].sum(dim=1)
    return erode(foreground_mask(maps), erosion).to(maps) + (total - total.detach())


def erode(mask: Tensor, times: int, least: int = 4) -> Tensor:
    """Take away the outermost patches: each becomes the least of itself and its 4 neighbours.

    Patches on the border of an object show background, and a few of their pixels are enough to
    learn from. Outside the image is background. An image of which fewer than `least` patches would
    be left keeps its mask as it is. Not in the publication.

    Args:
        mask: (B, h, w) bool, or float in [0, 1]; a patch above 1/2 counts as kept.
        times: How often.
        least: Patches that must be left.
    """
    for _ in range(times):
        around = torch.nn.functional.pad(mask.float(), (1, 1, 1, 1))
        sides = [around[:, :-2, 1:-1], around[:, 2:, 1:-1], around[:, 1:-1, :-2]]
        inner = torch.stack([mask.float(), *sides, around[:, 1:-1, 2:]]).amin(dim=0)
        enough = (inner > 0.5).sum(dim=(1, 2)) >= least
        mask = torch.where(enough[:, None, None], inner.to(mask.dtype), mask)
    return mask
