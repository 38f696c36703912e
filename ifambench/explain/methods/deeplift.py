"""DeepLIFT, rescale rule (Shrikumar et al. 2017, https://arxiv.org/abs/1704.02685).

Differences to the baseline 0, the mean colour after normalisation, are carried back through the
network: a ReLU by the ratio of its differences, out over in; a max pool by the differences of its
windows, given to the place of the larger maximum; linear layers, norms included, by their weights.
The relevance is x times what arrives at the pixels, summed over the channels and pixels of a patch,
signed. Where all activations are ReLU modules and all pools are maxima or means, it adds up to
s(x) - s(0), with s the logit of the target (of its best class, where a label has several). Gates
and other activations pass their plain gradient and break that.

captum's DeepLift (0.9) is not used: what comes out of its rule for max pools does not reach the
gradient, which makes it incomplete, and it cannot tell two uses of one ReLU module apart. Without
max pools the two agree.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.input_gradients import graph_inputs, pool_pixels, target_logit
from ifambench.explain.methods.relu_copy import relu_copy
from ifambench.models.base import Classifier

EXPLAINERS = {
    "deeplift": {
        "build": "deeplift",
        "summary": "differences to the mean colour carried back through ReLU networks, signed",
        "needs": ["conv"],
        "cost": "2 forward + 2 backward",
        "forwards": [6, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}

_SMALL = 1e-7
"""Below this difference of the inputs the ratio is the derivative."""


@in_chunks
def deeplift(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """Sum of the DeepLIFT contributions per patch.

    Raises:
        UsageError: If the network has no ReLU modules.
    """
    network = relu_copy(model, "deeplift")
    _exchange(network)
    with graph_inputs(images, targets, context) as (pixels, (chosen, masks)):
        both = torch.cat([pixels, torch.zeros_like(pixels)])
        twice = None if masks is None else masks.repeat(2, 1, 1)
        scores = target_logit(network)(both, chosen.repeat(2), twice)
        (multiplier,) = torch.autograd.grad(scores[: len(pixels)].sum(), pixels)
    return pool_pixels(model, images * multiplier)


def _exchange(parent: nn.Module) -> None:
    """Put the rules in the place of ReLUs and max pools."""
    for name, module in parent.named_children():
        if isinstance(module, nn.ReLU):
            setattr(parent, name, _Relu())
        elif isinstance(module, nn.MaxPool2d):
            setattr(parent, name, _Pool(module))
        else:
            _exchange(module)


class _Relu(nn.Module):
    def forward(self, both: Tensor) -> Tensor:
        found: Tensor = _RescaledRelu.apply(both)  # type: ignore[no-untyped-call]
        return found


class _Pool(nn.Module):
    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.options = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)

    def forward(self, both: Tensor) -> Tensor:
        found: Tensor = _RescaledPool.apply(both, self.options)  # type: ignore[no-untyped-call]
        return found


class _RescaledRelu(torch.autograd.Function):
    """On a batch of images and, behind them, their baselines; the gradient is of the images."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        return both.relu()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        x, reference = ctx.saved_tensors[0].chunk(2)
        change = x - reference
        small = change.abs() < _SMALL
        ratio = (x.relu() - reference.relu()) / torch.where(small, 1, change)
        found = slopes[0].chunk(2)[0] * torch.where(small, (x > 0).to(x), ratio)
        return torch.cat([found, torch.zeros_like(found)])


class _RescaledPool(torch.autograd.Function):
    """The same for the maximum over windows."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, options: tuple[Any, ...]) -> Tensor:
        found, places = F.max_pool2d(both, *options, return_indices=True)
        ctx.save_for_backward(both, found, places)
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        (x, reference), (high, low), (at, before) = (part.chunk(2) for part in ctx.saved_tensors)
        slope, change = slopes[0].chunk(2)[0], x - reference
        # a maximum that rose did so at its place in the image, one that fell at that in the
        # baseline: there the input changed by as much or more
        risen = _put(x, at, slope * (high - low).clamp(min=0))
        fallen = _put(x, before, slope * (high - low).clamp(max=0))
        small = change.abs() < _SMALL
        ratio = (risen + fallen) / torch.where(small, 1, change)
        found = torch.where(small, _put(x, at, slope), ratio)
        return torch.cat([found, torch.zeros_like(found)]), None


def _put(like: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Zeros (B, C, H, W), and the values (B, C, h, w) added at their places."""
    flat = torch.zeros_like(like).flatten(2)
    return flat.scatter_add(2, places.flatten(2), values.flatten(2)).reshape(like.shape)
