"""Integrated gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365), by captum.

With s the logit of the target class and the baseline 0, the mean colour after normalisation,

    relevance_p = sum over the channels and pixels of p of x * integral of ds/dx (a x) da,

with a from 0 to 1, by Gauss-Legendre quadrature with `STEPS` points. Without quadrature error the
relevance adds up to s(x) - s(0). On trained transformers the error need not be small; it is the sum
of the relevance less s(x) - s(0), which are two forward passes.
"""

from __future__ import annotations

from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import chunk_size, in_chunks
from ifambench.explain.methods.input_gradients import graph_inputs, pool_pixels, target_logit
from ifambench.models.base import Classifier

EXPLAINERS = {
    "integrated-gradients": {
        "build": "integrated_gradients",
        "summary": "gradients on the way from the mean colour to the image, 50 points, signed",
        "needs": [],
        "cost": "50 forward + 50 backward",
        "forwards": [150, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}

STEPS = 50
"""Points of the quadrature."""


@in_chunks
def integrated_gradients(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Sum of the integrated gradient per patch."""
    from captum.attr import IntegratedGradients

    with graph_inputs(images, targets, context) as (pixels, rest):
        found: Tensor = IntegratedGradients(target_logit(model)).attribute(
            pixels,
            baselines=0,
            additional_forward_args=rest,
            n_steps=STEPS,
            method="gausslegendre",
            # as many points at a time as fit; captum never takes less than all images
            internal_batch_size=max(chunk_size(model, context.batch_size), len(images)),
        )
    return pool_pixels(model, found.detach())
