"""Guided backpropagation (Springenberg et al. 2015, https://arxiv.org/abs/1412.6806), by captum.

The gradient of the target's logit, in which every ReLU passes back only what is positive, summed
over the channels and pixels of a patch, signed. For networks whose activations are ReLU modules;
other activations pass their plain gradient. Known to depend little on the weights of the upper
layers (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292): shown for comparison.
"""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.chunks import in_chunks
from ifambench.explain.methods.input_gradients import Score, graph_inputs, pool_pixels, target_logit
from ifambench.explain.methods.relu_copy import relu_copy
from ifambench.models.base import Classifier

EXPLAINERS = {
    "guided-backprop": {
        "build": "guided_backprop",
        "summary": "gradient through positive paths of ReLU networks, summed per patch, signed",
        "needs": ["conv"],
        "cost": "1 forward + 1 backward",
        "forwards": [3, 0],
        "family": "gradient",
        "binary": False,
        "class_specific": True,
    },
}


@in_chunks
def guided_backprop(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Sum of the guided gradient per patch.

    Raises:
        UsageError: If the network has no ReLU modules.
    """
    from captum.attr import GuidedBackprop

    network = _Network(relu_copy(model, "guided-backprop"))
    graph = graph_inputs(images, targets, context)
    with warnings.catch_warnings(), graph as (pixels, rest):
        warnings.filterwarnings("ignore", message="Setting backward hooks")
        found: Tensor = GuidedBackprop(network).attribute(pixels, additional_forward_args=rest)
    return pool_pixels(model, found.detach())


class _Network(nn.Module):
    """The target's logit as captum wants it, a module."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.score: Score = target_logit(model)

    def forward(self, pixels: Tensor, targets: Tensor, masks: Tensor | None = None) -> Tensor:
        return self.score(pixels, targets, masks)
