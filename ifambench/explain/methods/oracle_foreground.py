"""The true object as an explanation: the share of each patch that lies on it.

A control that knows the answer to "where is the object" and nothing of the model. A model that uses
the background is *not* explained by it, so its curves say how much the model relies on the object.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext
from ifambench.models.base import Classifier

EXPLAINERS = {
    "oracle-foreground": {
        "build": "oracle_foreground",
        "summary": "share of the patch on the true object",
        "needs": [],
        "needs_masks": True,
        "cost": "0",
        "forwards": [0, 0],
        "family": "control",
        "binary": False,
        "class_specific": False,
    },
}


def oracle_foreground(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """The coverage of the patches by the true mask.

    Raises:
        UsageError: If an image has no mask; the message names it.
    """
    coverage = context.coverage
    if coverage is None:
        coverage = torch.full((len(images), *model.patch_grid), torch.nan)
    missing = coverage.isnan().flatten(1).any(dim=1)
    if missing.any():
        raise UsageError(
            'explainer "oracle-foreground" needs the mask of the object, and there is none for '
            f"image {context.ids[int(missing.int().argmax())]}",
            where="--explainer",
            next_step="leave oracle-foreground out, or choose a suite with masks for all images",
        )
    return coverage.to(images)
