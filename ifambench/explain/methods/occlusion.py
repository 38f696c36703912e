"""Occlusion of single patches (Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901).

relevance_p = s(x) - s(x without p), with s the probability of the target class under the operator
of the run. On the patch grid it is the ablation of one feature at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.patch_sets import set_scores
from ifambench.models.base import Classifier

EXPLAINERS = {
    "occlusion": {
        "build": "occlusion",
        "summary": "fall of the probability when the patch is removed, signed",
        "needs": [],
        "cost": "1 + n forward",
        "forwards": [1, 1],
        "family": "perturbation",
        "binary": False,
        "class_specific": True,
    },
}


@torch.no_grad()
def occlusion(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """What is lost without the patch."""
    h, w = model.patch_grid
    whole = torch.ones(1, h * w, dtype=torch.bool, device=images.device)
    without = ~torch.eye(h * w, dtype=torch.bool, device=images.device)
    keep = torch.cat([whole, without]).reshape(-1, h, w).expand(len(images), -1, -1, -1)
    scores = set_scores(model, images, targets, context, keep)
    return (scores[:, :1] - scores[:, 1:]).reshape(-1, h, w)
