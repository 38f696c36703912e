"""A copy of a network for explainers that change how ReLUs pass gradients back.

The copy has modules of its own and shares the parameters, so hooks and exchanged modules never
touch the user's model. Its ReLUs do not work in place, which hooks cannot follow.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from ifambench.errors import UsageError
from ifambench.models.base import Classifier


def relu_copy(model: Classifier, explainer: str) -> Classifier:
    """The same model, free to be changed but for its parameters.

    Args:
        model: Left as it is.
        explainer: Whose name the error tells.

    Raises:
        UsageError: If the network has no ReLU modules.
    """
    if not any(isinstance(module, nn.ReLU) for module in model.modules()):
        raise UsageError(
            f'explainer "{explainer}" needs a network with ReLU modules, and this one has none',
            where="--explainer",
            choices=["resnet, vgg and other networks of nn.ReLU"],
            next_step="choose saliency or integrated-gradients, which any network can have",
        )
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    found = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    for module in found.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return found
