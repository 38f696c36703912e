"""The true object on the patch grid: the one rule for models that are shown the true masks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.metrics.localization import patch_coverage
from ifambench.models.base import Classifier


def oracle_patches(model: Classifier, masks: NDArray[np.bool_]) -> Tensor:
    """The patches of the true object, for models with the capability `true_masks`.

    A patch belongs to the object when more than the model's `mask_coverage` of its pixels do.

    Args:
        model: Gives the patch grid and the share.
        masks: (B, H, W) object masks.

    Returns:
        (B, h, w) bool on the CPU; an image may have none.
    """
    return torch.from_numpy(patch_coverage(masks, model.patch_grid) > model.mask_coverage)
