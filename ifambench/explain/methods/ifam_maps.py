"""What a model of parts itself offers as an explanation: the patches it selects, and its parts.

Given the mask, the other patches cannot change the logits; but the mask is chosen from the whole
image, so how faithful it is has to be measured like any other explanation.

`ifam-soft` is the probability as the model computes it. In a trained model it is exactly 1, to the
last bit of float32, for most of the selected patches, so that they tie in the order of removal;
`ifam-log-odds` has the same order without the ties.

The parts vote in the classifier of stage 1, which is the whole model in PDiscoFormer and an
auxiliary one in iFAM. With m_kp the probability of part k at patch p, and v_kc the logit of class c
from part k (the logits of stage 1 are the mean over the K foreground parts),

    relevance_p = sum_k m_kp (v_kt - mean_c v_kc) / K,

for the target t. The mean over the classes is taken off because adding a number to all logits
changes no prediction. A part that is nowhere gives nothing to any patch, so this does not add up
to a logit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.models.base import Classifier
from ifambench.models.masks import foreground_log_odds

EXPLAINERS = {
    "ifam-mask": {
        "build": "ifam_mask",
        "summary": "the binary mask of stage 1, 1 where stage 2 sees the patch",
        "needs": ["selection"],
        "cost": "1 forward of stage 1",
        "forwards": [1, 0],
        "family": "model",
        "binary": True,
        "class_specific": False,
    },
    "ifam-soft": {
        "build": "ifam_soft",
        "summary": "the soft foreground probability of stage 1",
        "needs": ["selection"],
        "cost": "1 forward of stage 1",
        "forwards": [1, 0],
        "family": "model",
        "binary": False,
        "class_specific": False,
    },
    "ifam-log-odds": {
        "build": "ifam_log_odds",
        "summary": "log odds of foreground in stage 1: the soft foreground without saturation",
        "needs": ["selection"],
        "cost": "1 forward of stage 1",
        "forwards": [1, 0],
        "family": "model",
        "binary": False,
        "class_specific": False,
    },
    "ifam-parts": {
        "build": "ifam_parts",
        "summary": "part maps of stage 1, weighted by their votes for the class, signed",
        "needs": ["parts"],
        "cost": "1 forward of stage 1",
        "forwards": [1, 0],
        "family": "model",
        "binary": False,
        "class_specific": True,
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


@torch.no_grad()
def ifam_log_odds(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """log(p / (1 - p)) of the foreground probability p, from the part maps."""
    return foreground_log_odds(model.select(images).part_maps)


@torch.no_grad()
def ifam_parts(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Votes of the foreground parts for the target, where the parts are."""
    maps, votes = model.part_votes(images)
    ahead = votes - votes.mean(dim=2, keepdim=True)  # (B, K, C)
    chosen = ahead[torch.arange(len(images), device=images.device), :, targets]
    return torch.einsum("bk,bkhw->bhw", chosen, maps[:, :-1]) / chosen.shape[1]
