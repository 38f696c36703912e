"""What explainers by the gradient at the pixels share: the score, its gradient, pooling to patches.

The score is the logit of the target class: the gradient of a probability vanishes where the model
is sure. Any classifier can be differentiated with respect to its pixels; a hard mask of a first
stage passes no gradient, so the map of such a model says what its second stage reads.

Only the pixels take part as inputs of the derivative: parameters keep their `requires_grad` and
gain no `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.gradients import graph_from
from ifambench.models.base import Classifier

Score = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(pixels (B, 3, H, W), targets (B,), masks (B, h, w) or None) -> (B,)."""


@contextmanager
def graph_inputs(
    images: Tensor, targets: Tensor, context: ExplainContext
) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor | None]]]:
    """Copies with which a graph can be made: the pixels, and the other arguments of a `Score`."""
    with graph_from(images, context) as (pixels, masks):
        yield pixels, (targets.clone(), masks)


def target_logit(model: Classifier) -> Score:
    """The logit of the target class as a function of the pixels."""

    def score(pixels: Tensor, targets: Tensor, masks: Tensor | None = None) -> Tensor:
        chosen = model.logits(pixels, masks).gather(1, targets[:, None])[:, 0]
        # so that a model that does not read its pixels has the gradient 0 rather than none
        return chosen + 0 * pixels.flatten(1).sum(dim=1)

    return score


def input_gradient(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Gradient of the target's logit with respect to the pixels, (B, 3, H, W)."""
    with graph_inputs(images, targets, context) as (pixels, rest):
        # images are independent: the gradient of the sum holds that of each
        total = target_logit(model)(pixels, *rest).sum()
        (gradient,) = torch.autograd.grad(total, pixels)
    return gradient


def pool_pixels(model: Classifier, values: Tensor) -> Tensor:
    """Sum over the channels and pixels of each patch, (B, C, H, W) -> (B, h, w).

    The sum keeps completeness: what the pixels add up to, the patches do.
    """
    h, w = model.patch_grid
    batch, channels, height, width = values.shape
    patches = values.reshape(batch, channels, h, height // h, w, width // w)
    return patches.sum(dim=(1, 3, 5))
