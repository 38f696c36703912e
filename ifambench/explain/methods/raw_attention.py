"""Raw attention: where the last block looks from the token that the head reads.

With A the attention of the last block, relevance is the mean over the heads of the class token's
row, or of the mean row of the patches where the network averages them. It does not depend on the
class, and says nothing of the blocks below.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.gradients import read_rows
from ifambench.explain.methods.grid import tokens_on_grid
from ifambench.models.base import Classifier

EXPLAINERS = {
    "raw-attention": {
        "build": "raw_attention",
        "summary": "attention of the last block from what the head reads (not class-specific)",
        "needs": ["trace"],
        "cost": "1 forward",
        "forwards": [1, 0],
        "family": "attention",
        "binary": False,
        "class_specific": False,
    },
}


@in_chunks
def raw_attention(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Share of each patch in the last block's attention."""
    with torch.no_grad():
        trace = model.trace(images, context.masks)
    rows = read_rows(trace.readout, trace.attention[-1].mean(dim=1))
    return tokens_on_grid(model, trace, rows)
