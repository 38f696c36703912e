"""Does relevance add up to what the model loses? Two answers from the same random subsets.

For K random subsets S of round(0.2 n) patches, with s(x) the probability of the target, s(x - S)
what is left of it under the operator of the run, and a the relevance, let

    u_S = sum of a_p over S,    d_S = s(x) - s(x - S).

*Faithfulness correlation* (Bhatt, Weller and Moura 2020, https://arxiv.org/abs/2005.00631) is the
correlation of u and d over the subsets: Pearson's as defined, and Spearman's. It is 1 for an
additive score whose parts are the relevance, and undefined where map or score is constant.

*Infidelity* (Yeh et al. 2019, https://arxiv.org/abs/1901.09392) in its patch form: the perturbation
I is the indicator of S, so that I . a = u_S, and

    INFD = mean over S of (beta u_S - d_S)^2,    beta = sum u_S d_S / sum u_S^2.

The scale beta makes it independent of the scale of the relevance (a map times 0 would win without
it), and of its sign: read it with the correlation. The zero of the relevance counts, though: all
subsets have one size, so a map of one constant already guesses the mean drop, and a signed map
around 0 can do worse than that. It equals `captum.metrics.infidelity` with
`normalize=True` for a perturbation that returns (indicator / pixels of a patch, x - S) and
relevance spread over the pixels; computed here because all explainers share the same forwards.

The subsets belong to the image and the seed. K + 1 forward passes per image.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash
from ifambench.explain.sanity.agreement import Values, pearson, spearman
from ifambench.explain.sanity.subject import PROTOCOL, Subject
from ifambench.predict.forward import refuse_non_finite
from ifambench.predict.journal import Row

SUBSETS = 128
SHARE = 0.2

_RESOLUTION = 1e-6
"""A score that varies by a smaller share of itself is constant: float32 says no more."""


def subset_scores(subject: Subject) -> list[Row]:
    """Per image its id, the probability with all patches, and with each subset removed."""
    removed = subsets_of(subject)  # (B, K, n)
    images, count, n = removed.shape
    keep = np.concatenate([np.ones((images, 1, n), bool), ~removed], axis=1)
    scores = _scored(subject, keep.reshape(-1, n)).reshape(images, count + 1)
    refuse_non_finite(scores, subject.ids, "the scores without random patches are")
    return [
        {"id": name, "full": row[0], "scores": row[1:]}
        for name, row in zip(subject.ids, scores.tolist(), strict=True)
    ]


def subsets_of(subject: Subject) -> NDArray[np.bool_]:
    """(B, K, n) the patches that are removed."""
    n = int(np.prod(subject.model.patch_grid))
    return np.stack([random_subsets(name, subject.settings.seed, n) for name in subject.ids])


def random_subsets(name: str, seed: int, n: int) -> NDArray[np.bool_]:
    """(K, n) subsets of an image, each of exactly round(0.2 n) patches, but at least one.

    >>> random_subsets("image", 0, 49).sum(axis=1).tolist() == [10] * 128
    True
    """
    size = max(1, round(SHARE * n))
    draws = Draws(stable_hash(PROTOCOL, "subsets", name), seed)
    return np.stack([draws.permutation(n) < size for _ in range(SUBSETS)])


def subset_checks(
    maps: NDArray[np.float32], removed: NDArray[np.bool_], rows: list[Row]
) -> dict[str, Values]:
    """Faithfulness correlation and infidelity per image.

    Args:
        maps: (B, h, w) relevance.
        removed: (B, K, n) from `subsets_of`.
        rows: Of the same images, from `subset_scores`.
    """
    scores = np.array([[row["full"], *row["scores"]] for row in rows])
    drops = scores[:, :1] - scores[:, 1:]
    spread, size = np.ptp(drops, axis=1, keepdims=True), np.abs(scores).max(axis=1, keepdims=True)
    sums = _sums(maps.reshape(len(maps), -1).astype(np.float64), removed)
    seen = np.where(spread <= _RESOLUTION * size, 0.0, drops)  # constant: no correlation
    return {
        "faithfulness_correlation": pearson(sums, seen),
        "faithfulness_correlation_spearman": spearman(sums, seen),
        "infidelity": infidelity(sums, drops),
    }


def infidelity(sums: Values, drops: Values) -> Values:
    """Mean squared error of the best multiple of `sums` (B, K) as a guess of `drops` (B, K)."""
    common, square = (sums * drops).sum(axis=1), (sums * sums).sum(axis=1)
    beta = np.divide(common, square, out=np.zeros_like(common), where=square > 0)
    return np.asarray(((beta[:, None] * sums - drops) ** 2).mean(axis=1), dtype=np.float64)


def _sums(maps: Values, removed: NDArray[np.bool_]) -> Values:
    """(B, K) relevance of each subset, in units of the map's largest magnitude.

    Rounded, because sums of the same values in another order must tie; a constant map has constant
    sums, exactly.
    """
    largest = np.abs(maps).max(axis=1, keepdims=True)
    scaled = np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)
    return np.asarray(np.einsum("bkn,bn->bk", removed, scaled).round(10), dtype=np.float64)


def _scored(subject: Subject, keep: NDArray[np.bool_]) -> Values:
    """Scores of (M, n) patches kept, M a multiple of the images."""
    device, each = subject.images.device, len(keep) // len(subject.ids)
    index = torch.arange(len(subject.ids), device=device).repeat_interleave(each)
    kept = torch.from_numpy(keep.reshape(-1, *subject.model.patch_grid)).to(device)
    return np.asarray(subject.score(index, kept).cpu().numpy(), dtype=np.float64)
