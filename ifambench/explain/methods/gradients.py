"""What explainers by gradient share: the graph of the target's logit, gradients of attention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext
from ifambench.models.base import Classifier, Inside, Trace


@contextmanager
def graph_from(images: Tensor, context: ExplainContext) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Copies of images and masks from which a graph starts, also inside inference mode.

    Tensors made in inference mode cannot take part in a graph. It starts at the pixels, so that
    frozen parameters make no difference.
    """
    with torch.inference_mode(False), torch.enable_grad():
        masks = None if context.masks is None else context.masks.clone()
        yield images.detach().clone().requires_grad_(), masks


@contextmanager
def traced(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Iterator[tuple[Trace, Tensor]]:
    """A forward pass and the sum of the targets' logits, in one graph.

    Images do not depend on each other: the gradient of the sum is that of each image's logit.
    """
    with graph_from(images, context) as (pixels, masks):
        trace = model.trace(pixels, masks)
        yield trace, chosen_logits(trace.logits, targets)


def chosen_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum over the images of the target's logit."""
    return logits.gather(1, targets[:, None].clone()).sum()


def inside_of(trace: Trace) -> Inside:
    """The blocks of a traced ViT.

    Raises:
        UsageError: If the trace of a plug-in does not show them.
    """
    if trace.inside is None:
        raise UsageError(
            "the trace of this model does not show its blocks, which this explainer needs",
            where="--explainer",
            next_step="in the model's trace(), return what ifambench.models.trace.trace_vit gives",
        )
    return trace.inside


def attention_gradient(inside: Inside, layer: int, of_heads: Tensor) -> Tensor:
    """Gradient of a score with respect to one block's attention, (B, heads, N, N).

    Args:
        inside: The blocks.
        layer: The block.
        of_heads: (B, N, heads d) gradient with respect to `inside.heads[layer]`.
    """
    values = inside.values[layer]  # (B, heads, N, d)
    return split_heads(of_heads, values) @ values.to(of_heads).transpose(-2, -1)


def split_heads(joined: Tensor, like: Tensor) -> Tensor:
    """(B, N, heads d) -> (B, heads, N, d), the shape of `like`."""
    batch, heads, length, width = like.shape
    return joined.reshape(batch, length, heads, width).transpose(1, 2)


def positive_influence(trace: Trace, layer: int, of_heads: Tensor) -> Tensor:
    """Mean over the heads of relu(gradient x attention) of one block, (B, N, N)."""
    gradient = attention_gradient(inside_of(trace), layer, of_heads)
    return (gradient * trace.attention[layer]).relu().mean(dim=1)


def read_rows(readout: Tensor, mixing: Tensor) -> Tensor:
    """The rows of a matrix (B, N, N) that the head reads, (B, N)."""
    return (readout.to(mixing)[:, None] @ mixing)[:, 0]


def carried(readout: Tensor, mixing: Iterable[Tensor]) -> Tensor:
    """The rows that the head reads of (I + M_L) ... (I + M_1), (B, N).

    Args:
        readout: (B, N) weight of each token in what the head reads.
        mixing: M_L, ..., M_1, each (B, N, N); taken one at a time.
    """
    rows = readout[:, None]  # (B, 1, N)
    for mixed in mixing:
        rows = rows.to(mixed)
        rows = rows + rows @ mixed
    return rows[:, 0]
