"""Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) on ViTs and CNNs.

With T the layer of `cam_layer.py`, n its places and y the logit of the target class,

    relevance_p = sum_c w_c T_pc,    w_c = mean over the places of dy/dT_pc.

The map is signed: no ReLU, which would tie half of the patches, and no rescaling.

Models that drop patches are explained given their mask; dropped patches rank last (`grid.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.cam_layer import map_of_layer
from ifambench.explain.methods.chunks import in_chunks
from ifambench.models.base import Classifier

EXPLAINERS = {
    "grad-cam": {
        "build": "grad_cam",
        "summary": "gradient-weighted last feature maps (ViT: before the last attention), signed",
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
def grad_cam(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """Signed Grad-CAM of the target's logit on the patch grid."""
    return map_of_layer(model, images, targets, context, _weighted_sum)


def _weighted_sum(places: Tensor, gradient: Tensor, exist: Tensor) -> Tensor:
    weights = gradient.sum(dim=1)  # (B, D); the gradient of padding is 0
    weights = weights / exist.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.einsum("bd,bnd->bn", weights, places)
