"""NormGrad (Rebuffi et al., CVPR 2020, https://arxiv.org/abs/2004.02866).

The gradient that a linear layer at one place would get for its weights is the outer product of the
activation a_p and of the gradient g_p there; its size is the product of their norms,

    relevance_p = ||a_p|| ||g_p||,

the paper's map for a virtual identity (a 1 x 1 convolution) after the layer of `cam_layer.py`. It
is never negative: it tells where the class could be changed, not in which direction. On a CNN whose
logits are linear in the mean of that layer, g_p is the same at all places: the map is ||a_p||, and
another class only scales it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.cam_layer import map_of_layer
from ifambench.explain.methods.chunks import in_chunks
from ifambench.models.base import Classifier

EXPLAINERS = {
    "normgrad": {
        "build": "normgrad",
        "summary": "norm of activation times norm of gradient at Grad-CAM's layer",
        "needs": [],
        "needs_any": ["trace", "conv"],
        "cost": "1 forward + 1 backward (of the last block)",
        "forwards": [3, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def normgrad(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """Size of the virtual layer's gradient at each place."""
    return map_of_layer(model, images, targets, context, _product_of_norms)


def _product_of_norms(places: Tensor, gradient: Tensor, exist: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm
    product: Tensor = norm(places, dim=2) * norm(gradient, dim=2)
    return product
