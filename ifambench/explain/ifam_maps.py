"""What a two-stage model itself offers as an explanation: the patches it selects.

Given the mask, the other patches cannot change the logits; but the mask is chosen from the whole
image, so how faithful it is has to be measured like any other explanation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.models.base import Classifier

EXPLAINERS = {
    "ifam-mask": {
        "build": "ifam_mask",
        "summary": "the binary mask of stage 1, 1 where stage 2 sees the patch",
        "needs": ["selection"],
        "cost": "1 forward of stage 1",
        "binary": True,
        "class_specific": False,
    },
    "ifam-soft": {
        "build": "ifam_soft",
        "summary": "the soft foreground probability of stage 1",
        "needs": ["selection"],
        "cost": "1 forward of stage 1",
        "binary": False,
        "class_specific": False,
    },
}


@torch.no_grad()
def ifam_mask(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """1 at the selected patches, 0 elsewhere."""
    return model.select(images).mask.to(torch.float32)


@torch.no_grad()
def ifam_soft(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Probability that a patch is foreground."""
    return model.select(images).foreground
