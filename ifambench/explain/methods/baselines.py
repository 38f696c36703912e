"""Explanations that know nothing of the model: what any explainer has to beat.

`random` is the floor of every comparison. `center` is strong wherever objects are in the middle.
`uniform` prefers no patch: ties are broken at random, so its curves are the mean of a few random
orders (`ranking.TIE_DRAWS`), and its relevance mass is the area of the object.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.explain.base import ExplainContext, stable_hash
from ifambench.models.base import Classifier

EXPLAINERS = {
    "random": {
        "build": "random_relevance",
        "summary": "a random order of the patches, seeded per image: the floor",
        "needs": [],
        "cost": "0",
        "forwards": [0, 0],
        "family": "control",
        "binary": False,
        "class_specific": False,
        "draws": True,
    },
    "center": {
        "build": "center_relevance",
        "summary": "nearness to the image centre",
        "needs": [],
        "cost": "0",
        "forwards": [0, 0],
        "family": "control",
        "binary": False,
        "tied": True,
        "class_specific": False,
    },
    "uniform": {
        "build": "uniform_relevance",
        "summary": "the same for all patches",
        "needs": [],
        "cost": "0",
        "forwards": [0, 0],
        "family": "control",
        "binary": False,
        "tied": True,
        "class_specific": False,
    },
}


def random_relevance(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Evenly spaced values in (0, 1) in random order; a function of image id, seed and draw."""
    h, w = model.patch_grid
    places = [
        Draws(stable_hash("random", name), context.seed, context.draw).permutation(h * w)
        for name in context.ids
    ]
    values = (np.reshape(places, (-1, h, w)) + 0.5) / (h * w)
    return torch.from_numpy(values.astype(np.float32)).to(images.device)


def center_relevance(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Negative squared distance of the patch centre from the image centre, in patches."""
    rows, columns = (torch.arange(n, device=images.device) - (n - 1) / 2 for n in model.patch_grid)
    nearness = -(rows[:, None] ** 2 + columns**2)
    return nearness.expand(len(images), -1, -1)


def uniform_relevance(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """1 everywhere."""
    return torch.ones(len(images), *model.patch_grid, device=images.device)
