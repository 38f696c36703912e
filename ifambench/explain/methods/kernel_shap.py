"""KernelSHAP on patches (Lundberg and Lee 2017, https://arxiv.org/abs/1705.07874).

The game: the players are the n patches, the value v(S) of a set is the probability of the target
class when only S is left, under the operator of the run. The relevance phi is the Shapley value,
the solution of the least squares problem

    min  sum over S of w(S) (v(S) - v(none) - sum_{p in S} phi_p)^2
    subject to  sum_p phi_p = v(all) - v(none),  with w(S) = (n - 1) / (C(n, s) s (n - s)), s = |S|.

Sets come in pairs with their complements (Covert and Lee 2021, https://arxiv.org/abs/2012.01536).
Under the constraint a pair says no more than sum_p a_p phi_p = v(S) - v(complement), a being 1 in S
and -1 outside. If there are at most `SAMPLES` sets, all of them are taken and phi is exact; else
`SAMPLES` / 2 pairs are drawn, their size with probability proportional to 1 / (s (n - s)), which is
the weight of all sets of that size, so that the drawn ones weigh the same. The sets belong to the
image: they depend on its id and the seed. With more patches than pairs the shortest solution is
taken.

captum's KernelShap draws from the global generator and keeps the constraint by large weights; this
one depends on neither the batch nor the weights.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.explain.base import ExplainContext, stable_hash
from ifambench.explain.methods.patch_sets import set_scores
from ifambench.models.base import Classifier

EXPLAINERS = {
    "kernel-shap": {
        "build": "kernel_shap",
        "summary": "Shapley values of the patches from 2,000 sets of patches, signed",
        "needs": [],
        "cost": "2002 forward",
        "forwards": [2002, 0],
        "family": "perturbation",
        "binary": False,
        "class_specific": True,
    },
}

SAMPLES = 2000
"""Sets of each image, beside all patches and none."""


@torch.no_grad()
def kernel_shap(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Shapley values, exact on a grid of at most 10 patches, else estimated."""
    h, w = model.patch_grid
    pairs = [_pairs(name, context.seed, h * w) for name in context.ids]
    kept = np.stack([_with_ends(sets) for sets, _ in pairs])
    keep = torch.from_numpy(kept).to(images.device).reshape(len(images), -1, h, w)
    scores = set_scores(model, images, targets, context, keep).cpu().double().numpy()
    found = [_solve(*pair, row) for pair, row in zip(pairs, scores, strict=True)]
    return torch.from_numpy(np.stack(found).astype(np.float32)).to(images.device).reshape(-1, h, w)


def _with_ends(sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All patches, none, the sets and their complements, (2 + 2 K, n)."""
    ends = np.repeat([[True], [False]], sets.shape[1], axis=1)
    return np.concatenate([ends, sets, ~sets])


def _solve(
    sets: NDArray[np.bool_], weights: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values (n,) from K pairs (K, n), their weights (K,) and the scores (2 + 2 K,) of all."""
    n = sets.shape[1]
    total = scores[0] - scores[1]
    ahead, behind = np.split(scores[2:], 2)
    signs = np.where(sets, 1.0, -1.0)
    # phi = total / n + rest, and the rest sums to 0: so does the shortest solution below, because
    # all rows of `centred` do
    mean = signs.mean(axis=1)
    centred = signs - mean[:, None]
    root = np.sqrt(weights)
    rest = np.linalg.lstsq(centred * root[:, None], (ahead - behind - mean * total) * root)[0]
    return np.asarray(total / n + rest, dtype=np.float64)


def _pairs(name: str, seed: int, n: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Sets (K, n) that stand for themselves and their complements, and their weights (K,)."""
    if 2**n - 2 <= SAMPLES:
        return _all_pairs(n)
    draws = Draws(stable_hash("kernel-shap", name), seed)
    pairs = SAMPLES // 2
    share = np.cumsum(_weight_of_size(n))
    sizes = 1 + np.searchsorted(share / share[-1], draws.uniform(0, 1, pairs), side="right")
    keys = draws.uniform(0, 1, pairs * n).reshape(pairs, n)
    places = keys.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return places < sizes[:, None], np.ones(pairs)


def _all_pairs(n: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """One set of every pair: those with patch 0, except all patches."""
    numbers = np.arange(1, 2**n - 1, 2)
    sets = (numbers[:, None] >> np.arange(n)) & 1 == 1
    sizes = sets.sum(axis=1)
    counts = np.array([math.comb(n, int(size)) for size in sizes], dtype=np.float64)
    return sets, _weight_of_size(n)[sizes - 1] / counts


def _weight_of_size(n: int) -> NDArray[np.float64]:
    """Weight of all sets of the sizes 1 to n - 1 together, (n - 1,)."""
    sizes = np.arange(1, n)
    return (n - 1) / (sizes * (n - sizes))
