"""Attention rollout (Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928).

With A_l the attention of block l, averaged over heads, and I for the residual connection,

    R = B_L ... B_1,    B_l = rownorm((A_l + I) / 2),

and the relevance is the row of R from which the head reads: the class token, or the mean over the
patches where the network averages them. Prefix tokens take part in the product; their columns are
dropped at the end. Only that one row is carried through the product. It does not depend on the
class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.grid import tokens_on_grid
from ifambench.models.base import Classifier

EXPLAINERS = {
    "attention-rollout": {
        "build": "attention_rollout",
        "summary": "attention of all blocks multiplied, residual included (not class-specific)",
        "needs": ["trace"],
        "cost": "1 forward",
        "forwards": [1, 0],
        "family": "attention",
        "binary": False,
        "class_specific": False,
    },
}


@in_chunks
def attention_rollout(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Share of each patch in what the head reads, by attention alone."""
    with torch.no_grad():
        trace = model.trace(images, context.masks)
    rows = rollout(trace.attention, trace.readout)
    return tokens_on_grid(model, trace, rows)


def rollout(attention: Sequence[Tensor], readout: Tensor) -> Tensor:
    """The rows of the product that the head reads, (B, N).

    Args:
        attention: Per block, (B, heads, N, N).
        readout: (B, N) weight of each token in what the head reads.
    """
    rows = readout[:, None]  # (B, 1, N)
    for block in reversed(attention):
        mixed = (block.mean(dim=1) + torch.eye(block.shape[-1], device=block.device)) / 2
        rows = rows.to(mixed) @ (mixed / mixed.sum(dim=-1, keepdim=True))
    return rows[:, 0]
