"""Saliency: the size of the gradient (Simonyan et al. 2014, https://arxiv.org/abs/1312.6034).

With s the logit of the target class, relevance_p = sum over the channels and pixels of patch p of
|ds/dx|. It tells how much a small change of the pixels would matter, not in which direction.
"""

from __future__ import annotations

from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.input_gradients import input_gradient, pool_pixels
from ifambench.models.base import Classifier

EXPLAINERS = {
    "saliency": {
        "build": "saliency",
        "summary": "absolute gradient at the pixels, summed per patch",
        "needs": [],
        "cost": "1 forward + 1 backward",
        "forwards": [3, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def saliency(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """Sum of |ds/dx| per patch, never negative."""
    return pool_pixels(model, input_gradient(model, images, targets, context).abs())
