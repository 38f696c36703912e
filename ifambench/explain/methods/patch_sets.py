"""What explainers that remove patches share: the scores of many sets of patches per image."""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.keep_score import keep_score
from ifambench.models.base import Classifier


def set_scores(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext, keep: Tensor
) -> Tensor:
    """Probability of the target when only the patches of a set are left.

    Args:
        model: The model.
        images: (B, 3, H, W).
        targets: (B,).
        context: With the operator of the run; without one, removed patches are 0.
        keep: (B, K, h, w) bool, K sets for each image.

    Returns:
        (B, K) float32.
    """
    score = keep_score(model, images, targets, context)
    index = torch.arange(len(keep), device=keep.device).repeat_interleave(keep.shape[1])
    return score(index, keep.flatten(0, 1)).reshape(keep.shape[:2])
