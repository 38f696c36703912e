"""Input times gradient (Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713), by captum.

relevance_p = sum over the channels and pixels of patch p of x ds/dx, with s the logit of the target
class and x the normalised pixels, for which 0 is the mean colour. Exact for a linear model: its
relevance adds up to s(x) - s(0).
"""

from __future__ import annotations

from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.input_gradients import graph_inputs, pool_pixels, target_logit
from ifambench.models.base import Classifier

EXPLAINERS = {
    "input-x-gradient": {
        "build": "input_x_gradient",
        "summary": "pixels times their gradient, summed per patch, signed",
        "needs": [],
        "cost": "1 forward + 1 backward",
        "forwards": [3, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def input_x_gradient(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Sum of x ds/dx per patch."""
    from captum.attr import InputXGradient

    with graph_inputs(images, targets, context) as (pixels, rest):
        method = InputXGradient(target_logit(model))
        found: Tensor = method.attribute(pixels, additional_forward_args=rest)
    return pool_pixels(model, found.detach())
