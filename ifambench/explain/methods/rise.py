"""RISE on patches (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421).

`SAMPLES` random sets m_i keep every patch with probability 1/2; with s the probability of the
target class under the operator of the run,

    relevance_p = sum_i m_ip s(x under m_i) / sum_i m_ip,

the mean score of the sets that keep p. The published masks are a coarse grid, enlarged and shifted;
here their cells are the patches, the unit that is removed everywhere else. Each patch is normalised
by how often it was kept, which is the 1/p of the paper without its sampling error.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.explain.base import ExplainContext, stable_hash
from ifambench.explain.methods.patch_sets import set_scores
from ifambench.models.base import Classifier

EXPLAINERS = {
    "rise": {
        "build": "rise",
        "summary": "mean probability over 1,000 random sets of patches that keep the patch",
        "needs": [],
        "cost": "1000 forward",
        "forwards": [1000, 0],
        "family": "perturbation",
        "binary": False,
        "class_specific": True,
    },
}

SAMPLES = 1000
"""Random sets of each image."""


@torch.no_grad()
def rise(model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext) -> Tensor:
    """The mean score of the sets that keep the patch; 0 for a patch that none of them keeps."""
    h, w = model.patch_grid
    drawn = np.stack([_sets(name, context.seed, h * w) for name in context.ids])
    keep = torch.from_numpy(drawn).to(images.device)
    scores = set_scores(model, images, targets, context, keep.reshape(len(images), -1, h, w))
    pairs = zip(scores.cpu().double().numpy(), drawn, strict=True)
    found = [row @ sets / sets.sum(axis=0).clip(min=1) for row, sets in pairs]
    return torch.from_numpy(np.stack(found).astype(np.float32)).to(images.device).reshape(-1, h, w)


def _sets(name: str, seed: int, n: int) -> np.ndarray:
    """(SAMPLES, n) bool, patches that are kept."""
    uniform = Draws(stable_hash("rise", name), seed).uniform(0, 1, SAMPLES * n)
    return uniform.reshape(SAMPLES, n) < 0.5
