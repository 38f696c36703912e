"""LeGrad (Bousselham et al., ICCV 2025, https://arxiv.org/abs/2404.03214).

Each block is scored by the network's own head: with Z_l the tokens after block l and A_l its
attention,

    s_l = logit of the target from norm(mean of all tokens of Z_l),
    E_l = mean over heads and queries of relu(ds_l/dA_l),

and the relevance is the mean of E_l over all blocks, without the columns of the prefix tokens. As
published, the mean of Z_l includes the class token, whatever the head reads at the end; the
published rescaling to [0, 1] is left out. A_l acts on s_l through the rest of block l alone, so the
passes backward of all blocks together cost about one.

With a label map the class is the one that gives the label's logit at the end, in all blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.gradients import attention_gradient, inside_of, traced
from ifambench.explain.methods.grid import tokens_on_grid
from ifambench.models.base import Classifier, Trace

EXPLAINERS = {
    "legrad": {
        "build": "legrad",
        "summary": "positive gradient of each block's own score by its attention, mean of blocks",
        "needs": ["trace"],
        "cost": "1 forward + 1 backward, in pieces",
        "forwards": [3, 0],
        "family": "attention",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def legrad(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """Sensitivity of the blocks' scores to the attention paid to each patch."""
    with traced(model, images, targets, context) as (trace, chosen):
        raw = inside_of(trace).raw
        (of_class,) = torch.autograd.grad(chosen, raw, retain_graph=True)  # (B, C): 1 at the target
        layers = range(len(inside_of(trace).heads))
        maps = [_layer(trace, layer, of_class) for layer in layers]
    return tokens_on_grid(model, trace, torch.stack(maps).mean(dim=0))


def _layer(trace: Trace, layer: int, of_class: Tensor) -> Tensor:
    """E_l of every token, (B, N)."""
    inside, valid = inside_of(trace), trace.valid[..., None]
    count = trace.valid.sum(dim=1, keepdim=True).clamp(min=1)
    # not a product: padding may hold NaN where an image has no token at all
    tokens = torch.where(valid, inside.hidden[layer + 1], 0)
    score = (inside.score(tokens.sum(dim=1) / count) * of_class).sum()
    (of_heads,) = torch.autograd.grad(score, inside.heads[layer], retain_graph=True)
    gradient = attention_gradient(inside, layer, of_heads).relu()
    queries = torch.where(valid, gradient.mean(dim=1), 0)  # (B, N, N)
    return queries.sum(dim=1) / count
