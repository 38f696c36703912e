"""Gradient x attention of the last block, the usual baseline of the methods that follow it.

With A the attention of the last block and y the target's logit,

    relevance_j = mean over heads of relu(dy/dA . A)_ij,

i being the token that the head reads (the mean over the patches where the network averages them).
It is the last step of generic attention explainability (Chefer, Gur and Wolf 2021,
https://arxiv.org/abs/2103.15679), without the blocks below.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.gradients import inside_of, positive_influence, read_rows, traced
from ifambench.explain.methods.grid import tokens_on_grid
from ifambench.models.base import Classifier

EXPLAINERS = {
    "gradient-attention": {
        "build": "gradient_attention",
        "summary": "positive part of gradient x attention of the last block",
        "needs": ["trace"],
        "cost": "1 forward + 1 backward (of the last block)",
        "forwards": [3, 0],
        "family": "attention",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def gradient_attention(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Positive influence of each patch on the target's logit in the last block."""
    with traced(model, images, targets, context) as (trace, chosen):
        (of_heads,) = torch.autograd.grad(chosen, inside_of(trace).heads[-1])
    rows = read_rows(trace.readout.detach(), positive_influence(trace, -1, of_heads))
    return tokens_on_grid(model, trace, rows)
