"""Where the prototypes of stage 1 start.

The published losses are nearly symmetric between "the object is foreground" and "the object is
background": from a random start some runs end in the exchanged state and never leave it. `rim`
starts all prototypes near the mean token of the training images and moves the background
prototype towards what the outermost ring of patches has more of than the inside:

    a_k = mean - s d + e_k for the parts,  a_K = mean + s d + e_K for the background,

with d the unit vector from the mean inner token to the mean rim token and e the usual random start.
The scores of background and parts then differ by 4 s (f - mean) . d; s gives this difference a
standard deviation of `SPREAD`. With a `quantile`, the point half-way between the two, where parts
and background are equal, is moved along d from the mean to where that share of the patches lies on
the side of the parts. No label and no mask is used. Not in the publication; the effect is
measured in `docs/pretraining.md`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.models.ifam import Ifam, Selector
from ifambench.models.pdiscoformer import PDiscoFormer
from ifambench.train.trainset import TrainSet

SPREAD = 2.0
_IMAGES = 500
_PIXELS_AT_ONCE = _IMAGES * 64 * 64


@torch.no_grad()
def start_at_rim(model: Ifam | PDiscoFormer, train: TrainSet, quantile: float = 0.0) -> None:
    """Set the prototypes of stage 1 in place from the first training images.

    Args:
        model: A model with a stage 1.
        train: Training images.
        quantile: Share of patches that start as foreground; 0: half-way, see above.
    """
    tokens = _first_tokens(model.stage_1.eval(), train, model.data_config.image_size)
    ring = _outer_ring(tokens)
    mean = tokens.mean(dim=(0, 2, 3))  # (D,)
    direction = tokens[:, :, ring].mean(dim=(0, 2)) - tokens[:, :, ~ring].mean(dim=(0, 2))
    direction = direction / direction.norm().clamp_min(1e-6)
    along = torch.einsum("bdhw,d->bhw", tokens - mean[:, None, None], direction)
    shift = SPREAD / (4 * along.std().clamp_min(1e-6)) * direction
    if quantile:
        mean = mean + along.flatten().kthvalue(_rank(quantile, along.numel())).values * direction
    prototypes = model.stage_1.fc_landmarks.weight[:, :, 0, 0]  # (K + 1, D)
    prototypes[:-1] += mean - shift
    prototypes[-1] += mean + shift


def _first_tokens(stage_1: Selector, train: TrainSet, image_size: int) -> Tensor:
    """Patch tokens of the first images, (B, D, h, w), a few at a time where they are large."""
    first = torch.arange(min(_IMAGES, len(train)))
    size = max(1, _PIXELS_AT_ONCE // image_size**2)
    parts = torch.split(first, size)
    found = [stage_1.tokens(batch.images) for batch in train.batches(parts)]
    return found[0] if len(found) == 1 else torch.cat(found)  # as is: a copy sums up differently


def _rank(quantile: float, n: int) -> int:
    """Which of n sorted values (from 1) has a share `quantile` at or below it."""
    return max(1, round(quantile * n))


def _outer_ring(tokens: Tensor) -> Tensor:
    """(h, w) bool, True on the rim."""
    ring = torch.ones(tokens.shape[-2:], dtype=torch.bool, device=tokens.device)
    ring[1:-1, 1:-1] = False
    return ring
