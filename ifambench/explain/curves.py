"""Deletion and insertion curves of many images in full batches (protocol `patch-curve/1`).

For an order of the n patches and a share t of them, *deletion* removes the t n most relevant ones
and *insertion* keeps only those; the score of one fixed class is followed, its softmax probability
and its logit. Both curves use the same operator (`operators.py`), so removing the least relevant
patches first is the insertion curve read backwards.

Points: k_i = round(i n / S) patches for i = 0..S, both ends included. The intact end is the clean
prediction, except under the operator `model`. All points of all images, curves and explainers are
one flat list of (image, patches left); equal entries are evaluated once (`work_items.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ifambench.explain.ranking import Orders, join_orders
from ifambench.explain.scoring import Scorer, Tick, empty_scores, evaluate
from ifambench.explain.work_items import Items, Places, items_of

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Score curves of N images.

    Attributes:
        fractions: (S + 1,) share of the patches removed or inserted, from 0 to 1.
        deletion: (N, S + 1) probability after removing the most relevant patches.
        insertion: (N, S + 1) probability with only the most relevant patches.
        deletion_logit: (N, S + 1) logit on the same points.
        insertion_logit: (N, S + 1).
        without_top: (N,) probability without the selected patches; NaN where none were named.
        only_top: (N,) probability with only those.
        n_forwards: Different inputs behind these numbers, the shared empty one not counted.
    """

    fractions: Scores
    deletion: Scores
    insertion: Scores
    deletion_logit: Scores
    insertion_logit: Scores
    without_top: Scores
    only_top: Scores
    n_forwards: int


@dataclass(frozen=True)
class Asked:
    """One explainer's orders.

    Attributes:
        orders: At least one order per image.
        selected: (R,) how many patches a binary map selects, which come first in the order; None
            for other maps.
    """

    orders: Orders
    selected: NDArray[np.int64] | None = None


@dataclass
class Memo:
    """Scores of sets that are known already, of one scorer.

    Attributes:
        names: (K,) names of the sets, sorted.
        scores: (K, 2) probability and logit.
        n_evaluated: Inputs evaluated so far.
    """

    names: NDArray[np.void] = field(default_factory=lambda: np.empty(0, "V16"))
    scores: Scores = field(default_factory=lambda: np.empty((0, 2)))
    n_evaluated: int = 0


def step_counts(n: int, steps: int) -> NDArray[np.int64]:
    """Numbers of patches at the points of a curve, round(i n / S); at most one point per patch.

    >>> step_counts(10, 4).tolist()
    [0, 3, 5, 8, 10]
    >>> step_counts(2, 16).tolist()
    [0, 1, 2]
    """
    steps = min(steps, n)
    return (2 * np.arange(steps + 1) * n + steps) // (2 * steps)


def patch_curves(scorer: Scorer, orders: Orders, steps: int) -> Curves:
    """Deletion and insertion curves, averaged over the orders of each image.

    Args:
        scorer: The images and what is followed.
        orders: At least one order per image.
        steps: S.
    """
    return measure_curves(scorer, [Asked(orders)], steps)[0]


def measure_curves(
    scorer: Scorer,
    asked: Sequence[Asked],
    steps: int,
    memo: Memo | None = None,
    tick: Tick | None = None,
) -> list[Curves]:
    """The curves of several explainers of the same images, evaluated together.

    Args:
        scorer: The images and what is followed.
        asked: The explainers' orders.
        steps: S.
        memo: What is known already; it is added to.
        tick: Told about each batch.
    """
    counts = step_counts(scorer.removal.num_patches, steps)
    orders = join_orders(one.orders for one in asked)
    sizes = [len(one.orders.image) for one in asked]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = [_places(one, counts, int(at)) for one, at in zip(asked, starts[:-1], strict=True)]
    joined = Places(*(np.concatenate(parts) for parts in zip(*places, strict=True)))
    items = items_of(orders, joined, len(scorer.targets), _shown(scorer))
    scores = _scores(scorer, items, memo or Memo(), tick)
    ends = np.cumsum([len(part.row) for part in places])[:-1]
    names, empty = np.split(items.names, ends), np.split(_is_shared(scorer, items), ends)
    return [
        _curves(scorer, one, counts, values, len(np.unique(name[~none])))
        for one, values, name, none in zip(asked, np.split(scores, ends), names, empty, strict=True)
    ]


def intact_ends(scorer: Scorer) -> Memo:
    """What all explainers share beside the empty end: the inputs with all patches."""
    n, image = scorer.removal.num_patches, np.arange(len(scorer.targets))
    orders = Orders(np.tile(np.arange(n), (len(image), 1)), image)
    places = Places(image, np.zeros_like(image), np.zeros(len(image), bool))
    memo = Memo()
    _scores(scorer, items_of(orders, places, len(image), _shown(scorer)), memo, None)
    return memo


def _shown(scorer: Scorer) -> NDArray[np.bool_] | None:
    allowed = scorer.removal.allowed
    return None if allowed is None else np.asarray(allowed.cpu().numpy(), dtype=bool)


def _places(asked: Asked, counts: NDArray[np.int64], start: int) -> Places:
    """Deletion and insertion points of each order, then the selected patches out and alone."""
    n = len(asked.orders.image)
    row, kind, k = np.broadcast_arrays(
        np.arange(n)[:, None, None], np.array([False, True])[:, None], counts
    )
    parts = [Places(row.ravel(), k.ravel(), kind.ravel())]
    if asked.selected is not None:
        whole = np.arange(n), asked.selected
        parts += [Places(*whole, np.full(n, inserted)) for inserted in (False, True)]
    row, k, kind = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Places(row + start, k, kind)


def _scores(scorer: Scorer, items: Items, memo: Memo, tick: Tick | None) -> Scores:
    """(M, 2) scores of all items, each different one evaluated once; the memo learns them."""
    device, known = scorer.targets.device, len(memo.names)
    every = np.concatenate([memo.names, items.names])
    names, first, place = np.unique(every, return_index=True, return_inverse=True)
    scores = np.empty((len(names), 2))
    scores[first < known] = memo.scores[first[first < known]]
    at = np.flatnonzero(first >= known)
    shared = _is_shared(scorer, items)[first[at] - known]
    if shared.any():
        chosen = first[at[shared]] - known
        scores[at[shared]] = empty_scores(scorer, items.image[chosen]).cpu().numpy()
    at = at[~shared]
    chosen = first[at] - known

    found = evaluate(
        scorer,
        items.image[chosen],
        items.count[chosen],
        lambda order: items.maker(chosen[order], device).make,
        tick,
    )
    scores[at] = found.cpu().numpy()
    memo.names, memo.scores = names, scores
    memo.n_evaluated += len(chosen)
    return scores[place[known:]]


def _is_shared(scorer: Scorer, items: Items) -> NDArray[np.bool_]:
    if not scorer.removal.shared_empty:
        return np.zeros(len(items.count), bool)
    return np.asarray(items.count == 0)


def _curves(
    scorer: Scorer, asked: Asked, counts: NDArray[np.int64], scores: Scores, n_forwards: int
) -> Curves:
    rows, points, n = len(asked.orders.image), len(counts), len(scorer.targets)
    inner = rows * 2 * points
    values = scores[:inner].reshape(rows, 2, points, 2)
    means = _mean_per_image(values, asked.orders.image, n)  # (N, curve, point, score)
    if scorer.full is not None:
        means[:, 0, 0, 0] = means[:, 1, -1, 0] = scorer.full
    tops = np.full((n, 2), np.nan)
    if asked.selected is not None:
        tops = _mean_per_image(scores[inner:, 0].reshape(2, rows).T, asked.orders.image, n)
    return Curves(
        fractions=counts / counts[-1],
        deletion=means[:, 0, :, 0],
        insertion=means[:, 1, :, 0],
        deletion_logit=means[:, 0, :, 1],
        insertion_logit=means[:, 1, :, 1],
        without_top=tops[:, 0],
        only_top=tops[:, 1],
        n_forwards=n_forwards,
    )


def _mean_per_image(values: Scores, image: NDArray[np.int64], n: int) -> Scores:
    """Mean over the orders of each image: (R, ...) -> (N, ...)."""
    total = np.zeros((n, *values.shape[1:]))
    np.add.at(total, image, values)
    counts = np.bincount(image, minlength=n)
    return np.asarray(total / counts.reshape(-1, *[1] * (values.ndim - 1)), dtype=np.float64)
