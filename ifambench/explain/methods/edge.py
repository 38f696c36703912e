"""Edge energy: where the picture changes, whatever the model does.

The competitor without a model that Hooker et al. 2019 (https://arxiv.org/abs/1806.10758) and
Adebayo et al. 2018 (https://arxiv.org/abs/1810.03292) hold saliency maps against. With g the grey
image, 0.299 R + 0.587 G + 0.114 B of the colours before normalisation, and (g_x, g_y) its Sobel
derivatives, the border repeated,

    relevance_p = sum over the pixels of p of g_x^2 + g_y^2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.input_gradients import pool_pixels
from ifambench.models.base import Classifier

EXPLAINERS = {
    "edge": {
        "build": "edge_energy",
        "summary": "Sobel energy of the grey image, summed per patch",
        "needs": [],
        "cost": "0",
        "forwards": [0, 0],
        "family": "control",
        "binary": False,
        "class_specific": False,
    },
}

_LUMA = (0.299, 0.587, 0.114)


def edge_energy(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Squared length of the Sobel gradient, summed per patch."""
    # the mean of the normalisation is the same everywhere: it has no edges
    weights = torch.tensor(_LUMA) * torch.tensor(model.data_config.std)
    grey = (images * weights.to(images)[:, None, None]).sum(dim=1, keepdim=True)
    across, down = _sobel(grey), _sobel(grey.mT).mT
    return pool_pixels(model, across.square() + down.square())


def _sobel(grey: Tensor) -> Tensor:
    """Derivative along the last axis, (B, 1, H, W)."""
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    difference = padded[..., 2:] - padded[..., :-2]
    return difference[..., :-2, :] + 2 * difference[..., 1:-1, :] + difference[..., 2:, :]
