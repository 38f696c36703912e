"""Transformer attribution (Chefer, Gur and Wolf, CVPR 2021, https://arxiv.org/abs/2012.09838).

Relevance starts as 1 at the target's logit and goes down through all layers (`relevance_rules.py`).
With r(A_l) what arrives at the attention of block l, and y the target's logit,

    Abar_l = mean over heads of relu(dy/dA_l . r(A_l)),    R = (I + Abar_L) ... (I + Abar_1),

without normalised rows, and the map is the row of the class token. The product is over all blocks,
as the published function has it; the published evaluation leaves out the first one.

It is offered for ViTs all of whose layers have a published rule (`models/relprop.py`): LayerScale
and average pooling have none. The rules divide by sums that may be near 0 and pass the relevance of
such a value on many times enlarged. In single precision rounding errors change the map of a trained
ViT visibly, so everything is computed in double precision here. Small changes of the image change
it, too, more than other maps: that belongs to the method.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.gradients import attention_gradient, carried, inside_of, traced
from ifambench.explain.methods.grid import tokens_on_grid
from ifambench.explain.methods.relevance_rules import (
    BlockValues,
    through_block,
    through_copy,
    through_linear,
)
from ifambench.models.base import Classifier, Selection, Trace

EXPLAINERS = {
    "transformer-attribution": {
        "build": "transformer_attribution",
        "summary": "gradient x propagated relevance of the attention, carried through all blocks",
        "needs": ["trace", "relprop"],
        "cost": "1 forward + 1 backward + relevance propagation (about 5 forwards), all in float64",
        "forwards": [8, 0],
        "family": "attention",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def transformer_attribution(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Relevance of each patch for the class token, by propagated relevance."""
    precise, pixels = _precise(model, images)
    with traced(precise, pixels, targets, context) as (trace, chosen):
        inside = inside_of(trace)
        (of_class, *of_heads) = torch.autograd.grad(chosen, [inside.raw, *inside.heads])
    with torch.no_grad():
        influence = _influence(trace, of_class, of_heads)
        rows = carried(trace.readout, influence)
    return tokens_on_grid(model, trace, rows)


def _precise(model: Classifier, images: Tensor) -> tuple[Classifier, Tensor]:
    """Model and images in double precision, with the model's own selection of patches."""
    wide = torch.float32 if images.device.type == "mps" else torch.float64  # mps has no other
    with torch.inference_mode(False), torch.no_grad():
        found = copy.deepcopy(model).to(wide)
        if "selection" in model.capabilities:
            mask, *maps = model.select(images)  # a mask made anew might differ at its border
            same = Selection(mask, *(part.to(wide) for part in maps))
            found.unmapped.select = lambda images: same  # type: ignore[method-assign]
    return found, images.to(wide)


def _influence(trace: Trace, of_class: Tensor, of_heads: list[Tensor]) -> Iterator[Tensor]:
    """Abar_L, ..., Abar_1, each (B, N, N)."""
    inside = inside_of(trace)
    relevance = _at_the_tokens(trace, of_class)
    for layer in reversed(range(len(of_heads))):
        seen = BlockValues(
            inside.hidden[layer], inside.qkv[layer], trace.attention[layer], inside.heads[layer]
        )
        relevance, of_attention = through_block(inside.vit.blocks[layer], seen, relevance)
        gradient = attention_gradient(inside, layer, of_heads[layer])
        yield (gradient * of_attention).relu().mean(dim=1)


def _at_the_tokens(trace: Trace, of_class: Tensor) -> Tensor:
    """Relevance after the last block, all at the class token, (B, N, D)."""
    inside = inside_of(trace)
    assert inside.read is not None  # the capability says so
    relevance = through_linear(of_class, inside.read, inside.linear.weight)
    encoded = inside.vit.norm(inside.hidden[-1])
    found = torch.zeros_like(encoded)
    found[:, 0] = through_copy(encoded[:, 0], relevance)
    return found
