"""Grad-CAM on vision transformers (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391).

The layer is the input T of the last block's attention, after its norm: behind it, with a class
token, the patch tokens have no influence on the output and their gradient is exactly 0. With y the
logit of the target class,

    relevance_p = sum_c w_c T_pc,    w_c = mean over patches of dy/dT_pc.

The map is signed: no ReLU, which would tie half of the patches, and no rescaling.

Models that drop patches are explained given their mask; dropped patches rank last (`grid.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.grid import on_grid
from ifambench.models.base import Classifier

EXPLAINERS = {
    "grad-cam": {
        "build": "grad_cam",
        "summary": "gradient-weighted tokens before the last attention, signed",
        "needs": ["trace"],
        "cost": "1 forward + 1 backward",
        "binary": False,
        "class_specific": True,
    },
}


def grad_cam(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """Signed Grad-CAM of the target's logit on the patch grid."""
    with torch.inference_mode(False), torch.enable_grad():
        # copies, because tensors made in inference mode cannot take part in a graph; the graph
        # starts at the pixels, so that frozen parameters make no difference
        pixels = images.detach().clone().requires_grad_()
        masks = None if context.masks is None else context.masks.clone()
        trace = model.trace(pixels, masks)
        chosen = trace.logits.gather(1, targets[:, None].clone()).sum()
        (gradient,) = torch.autograd.grad(chosen, trace.cam_tokens)
    prefix = model.num_prefix_tokens
    kept = trace.valid[:, prefix:]
    weights = gradient[:, prefix:].sum(dim=1)  # (B, D); the gradient of padding is 0
    weights = weights / kept.sum(dim=1, keepdim=True).clamp(min=1)
    values = torch.einsum("bd,bnd->bn", weights, trace.cam_tokens[:, prefix:].detach())
    return on_grid(model, trace, values)
