"""Generic attention explainability (Chefer, Gur and Wolf 2021, https://arxiv.org/abs/2103.15679).

With A_l the attention of block l and y the target's logit,

    Abar_l = mean over heads of relu(dy/dA_l . A_l),    R = I,    R <- R + Abar_l R for l = 1 ... L,

and the relevance is the row of R from which the head reads: the class token, or the mean over the
patches where the network averages them. Only that one row is carried through the product. The
gradients of all blocks come from one pass backward (`models/trace.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.gradients import carried, inside_of, positive_influence, traced
from ifambench.explain.methods.grid import tokens_on_grid
from ifambench.models.base import Classifier

EXPLAINERS = {
    "generic-attention": {
        "build": "generic_attention",
        "summary": "positive part of gradient x attention, carried through all blocks",
        "needs": ["trace"],
        "cost": "1 forward + 1 backward",
        "forwards": [3, 0],
        "family": "attention",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def generic_attention(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Relevance of each patch for what the head reads, by the rule for self-attention."""
    with traced(model, images, targets, context) as (trace, chosen):
        of_heads = torch.autograd.grad(chosen, inside_of(trace).heads)
    layers = reversed(range(len(of_heads)))
    influence = (positive_influence(trace, layer, of_heads[layer]) for layer in layers)
    rows = carried(trace.readout.detach(), influence)
    return tokens_on_grid(model, trace, rows)
