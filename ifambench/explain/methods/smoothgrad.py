"""SmoothGrad (Smilkov et al. 2017, https://arxiv.org/abs/1706.03825).

The gradient of the target's logit, averaged over `SAMPLES` copies of the image with Gaussian noise
of `NOISE` times the range of the normalised image (its largest minus its smallest value):

    relevance_p = sum over the channels and pixels of p of |mean over the copies of ds/dx|.

The signed gradients are averaged before the absolute value, so what points in another direction in
every copy cancels. The noise belongs to the image: it depends on image id and seed, not on the
batch, which is why captum's NoiseTunnel (one draw per batch from the global generator) is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext, stable_hash
from ifambench.explain.methods.chunks import chunk_size, in_chunks
from ifambench.explain.methods.input_gradients import input_gradient, pool_pixels
from ifambench.models.base import Classifier

EXPLAINERS = {
    "smoothgrad": {
        "build": "smoothgrad",
        "summary": "gradient averaged over 50 noisy copies, absolute, summed per patch",
        "needs": [],
        "cost": "50 forward + 50 backward",
        "forwards": [150, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}

SAMPLES = 50
"""Noisy copies of each image."""

NOISE = 0.15
"""Standard deviation of the noise as a share of the range of the normalised image."""


@in_chunks
def smoothgrad(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Sum of |mean gradient| per patch, never negative."""
    return pool_pixels(model, mean_gradient(model, images, targets, context).abs())


def mean_gradient(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """The gradient at the pixels, averaged over noisy copies, (B, 3, H, W)."""
    width = NOISE * (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3)))
    generators = [_generator(name, context.seed) for name in context.ids]
    at_once = max(1, chunk_size(model, context.batch_size) // len(images))
    total = torch.zeros_like(images)
    for start in range(0, SAMPLES, at_once):
        copies = min(at_once, SAMPLES - start)
        noise = torch.stack([_noise(generators, images) for _ in range(copies)])
        noisy = images + width[:, None, None, None] * noise  # (copies, B, 3, H, W)
        masks = None if context.masks is None else context.masks.repeat(copies, 1, 1)
        repeated = replace(context, masks=masks)
        found = input_gradient(model, noisy.flatten(0, 1), targets.repeat(copies), repeated)
        total = total + found.reshape(noisy.shape).sum(dim=0)
    return total / SAMPLES


def _noise(generators: Sequence[torch.Generator], images: Tensor) -> Tensor:
    """The next draw of each image, (B, 3, H, W)."""
    # one image at a time: what a generator gives depends on how much it is asked for at once
    drawn = [torch.randn(images.shape[1:], generator=generator) for generator in generators]
    return torch.stack(drawn).to(images)


def _generator(name: str, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(stable_hash("smoothgrad", name, seed))
