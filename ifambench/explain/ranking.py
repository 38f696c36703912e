"""From relevance to an order of the patches, with ties broken at random but reproducibly.

Patches are ordered by descending signed relevance. Equal values are ordered by a permutation that
belongs to the image: sorting alone would break ties in raster order, which is a prior for the top
left corner. Where more than a fifth of the patches tie (binary masks, constant maps), several
orders of the ties are measured and averaged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifambench.data.draws import Draws
from ifambench.explain.base import EXPLAINER_REGISTRY, stable_hash

PROTOCOL = "patch-curve/1"
"""Version of everything that decides a published curve."""

TIED_SHARE = 0.2
TIE_DRAWS = 5


class Orders(NamedTuple):
    """Orders to measure; an image has one, or `TIE_DRAWS` where ties matter."""

    ranks: NDArray[np.int64]
    """(R, n) place of each patch in the order; the most relevant patch has 0."""
    image: NDArray[np.int64]
    """(R,) index of the image each order belongs to."""


def patch_orders(relevance: NDArray[np.float32], ids: Sequence[str]) -> Orders:
    """The orders of the patches to measure.

    Args:
        relevance: (N, h, w) signed relevance.
        ids: N image ids; the order of ties depends on them and on nothing else.
    """
    flat = relevance.reshape(len(ids), -1)
    many = tied_patches(relevance) > TIED_SHARE * flat.shape[1]
    draws = [TIE_DRAWS if ties else 1 for ties in many]
    image = np.repeat(np.arange(len(ids)), draws)
    ties = [
        _tie_order(name, draw, flat.shape[1])
        for name, count in zip(ids, draws, strict=True)
        for draw in range(count)
    ]
    order = np.lexsort((np.array(ties), -flat[image]), axis=-1)  # the last key decides first
    return Orders(np.argsort(order, axis=1), image)


def expected_orders(explainer: str, capabilities: Collection[str]) -> int:
    """Orders that a map of an explainer will have, as far as that is certain beforehand.

    Masks tie, and controls that say so: a constant map, and the distance to the centre, which is
    the same in all quarters of the image. So do the patches that a model with a mask never saw.
    """
    info = EXPLAINER_REGISTRY.entry(explainer).info
    from_tokens = "trace" in (*info.get("needs", ()), *info.get("needs_any", ()))
    unseen = from_tokens and not {"selection", "true_masks"}.isdisjoint(capabilities)
    return TIE_DRAWS if info.get("binary") or info.get("tied") or unseen else 1


def tied_patches(relevance: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number of patches that share their value with another one, per map: (N, h, w) -> (N,)."""
    ordered = np.sort(relevance.reshape(len(relevance), -1), axis=1)
    same = ordered[:, 1:] == ordered[:, :-1]
    edge = np.zeros((len(ordered), 1), bool)
    left, right = np.concatenate([edge, same], axis=1), np.concatenate([same, edge], axis=1)
    return np.asarray((left | right).sum(axis=1), dtype=np.int64)


def _tie_order(name: str, draw: int, n: int) -> NDArray[np.int64]:
    return Draws(stable_hash(PROTOCOL, "ties", name), draw).permutation(n)


def join_orders(several: Iterable[Orders]) -> Orders:
    """Orders of the same images, all to be averaged."""
    ranks, image = zip(*several, strict=True)
    return Orders(np.concatenate(ranks), np.concatenate(image))
