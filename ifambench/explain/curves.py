"""Deletion and insertion curves of many images in full batches (protocol `patch-curve/1`).

For an order of the n patches and a share t of them, *deletion* removes the t n most relevant ones
and *insertion* keeps only those; the score is the softmax probability of one fixed class. Removed
patches are 0 after normalisation, the mean of the data set: operator `mean`. Both curves use the
same fill, so removing the least relevant patches first is the insertion curve read backwards.

Points: k_i = round(i n / S) patches for i = 0..S, both ends included. The intact end is the clean
prediction, which is passed in. The empty end is one input for all images, because the fill is
constant. What lies between is one flat list of (image, patches kept) over all images, curves and
steps; equal entries are evaluated once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.explain.ranking import Orders
from ifambench.predict.forward import Forward, probabilities


@dataclass(frozen=True)
class Curves:
    """Score curves of N images.

    Attributes:
        fractions: (S + 1,) share of the patches removed or inserted, from 0 to 1.
        deletion: (N, S + 1) probability after removing the most relevant patches.
        insertion: (N, S + 1) probability with only the most relevant patches.
        n_forwards: Images that went through the model, without the two ends.
    """

    fractions: NDArray[np.float64]
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    n_forwards: int


@dataclass(frozen=True)
class Scored:
    """Images with the class whose probability is followed, and its value at both ends.

    Attributes:
        forward: The model, given pixels and the index of the original image.
        pixels: (N, 3, H, W) clean, normalised.
        grid: (h, w) patches.
        targets: (N,) class indices.
        full: (N,) probability for the clean image.
        empty: (N,) probability with all patches removed.
    """

    forward: Forward
    pixels: Tensor
    grid: tuple[int, int]
    targets: NDArray[np.int64]
    full: NDArray[np.float64]
    empty: NDArray[np.float64]


def step_counts(n: int, steps: int) -> NDArray[np.int64]:
    """Numbers of patches at the points of a curve, round(i n / S); at most one point per patch.

    >>> step_counts(10, 4).tolist()
    [0, 3, 5, 8, 10]
    >>> step_counts(2, 16).tolist()
    [0, 1, 2]
    """
    return np.unique((2 * np.arange(steps + 1) * n + steps) // (2 * steps))


def patch_curves(scored: Scored, orders: Orders, steps: int, batch_size: int) -> Curves:
    """Deletion and insertion curves, averaged over the orders of each image.

    Args:
        scored: The images.
        orders: At least one order per image.
        steps: S.
        batch_size: Inputs per forward pass; it changes no result.
    """
    n = orders.ranks.shape[1]
    counts = step_counts(n, steps)
    inner = counts[1:-1, None]  # (S - 1, 1)
    first = orders.ranks[:, None] < inner  # (R, S - 1, n): the most relevant patches
    keep = np.stack([~first, first], axis=1)  # (R, 2, S - 1, n): deletion, insertion
    owner = np.broadcast_to(orders.image[:, None, None], keep.shape[:3])
    scores, n_forwards = _evaluate(scored, owner.ravel(), keep.reshape(-1, n), batch_size)
    means = _mean_per_image(scores.reshape(keep.shape[:3]), orders.image, len(scored.targets))
    full, empty = scored.full[:, None], scored.empty[:, None]
    return Curves(
        fractions=counts / n,
        deletion=np.concatenate([full, means[:, 0], empty], axis=1),
        insertion=np.concatenate([empty, means[:, 1], full], axis=1),
        n_forwards=n_forwards,
    )


def empty_logits(forward: Forward, pixels: Tensor, per_image: bool) -> Tensor:
    """Logits with all patches removed, (N, C).

    Args:
        forward: The model.
        pixels: (N, 3, H, W); only the shape matters.
        per_image: Whether the model is told more than the pixels (true masks), so that the
            empty image has to be evaluated once per original image.
    """
    n = len(pixels) if per_image else 1
    blank = pixels.new_zeros((n, *pixels.shape[1:]))
    with torch.inference_mode():
        logits = forward(blank, torch.arange(n, device=pixels.device))
    return logits.expand(len(pixels), -1)


def fill_patches(pixels: Tensor, keep: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) with 0 in the patches where `keep` (N, h, w) is False.

    Raises:
        ValueError: If the patches do not divide the image.
    """
    (height, width), (h, w) = pixels.shape[-2:], keep.shape[-2:]
    if height % h or width % w:
        raise ValueError(f"a {h}x{w} grid does not divide {height}x{width} pixels")
    patches = pixels.reshape(*pixels.shape[:2], h, height // h, w, width // w)
    filled: Tensor = patches * keep[:, None, :, None, :, None].to(pixels.dtype)
    return filled.reshape(pixels.shape)


def _evaluate(
    scored: Scored, owner: NDArray[np.int64], keep: NDArray[np.bool_], batch_size: int
) -> tuple[NDArray[np.float64], int]:
    """Score of each (image, patches kept), and how many different ones there were."""
    chosen, place = _distinct(owner, keep)
    if not len(chosen):
        return np.empty(0), 0
    owner, keep = owner[chosen], keep[chosen]
    device, (h, w) = scored.pixels.device, scored.grid
    images = torch.split(torch.from_numpy(owner).to(device), batch_size)
    kept = torch.split(torch.from_numpy(keep.reshape(-1, h, w)).to(device), batch_size)
    with torch.inference_mode():
        logits = [
            scored.forward(fill_patches(scored.pixels[index], part), index)
            for index, part in zip(images, kept, strict=True)
        ]
    prob = probabilities(torch.cat(logits))
    return prob[np.arange(len(owner)), scored.targets[owner]][place], len(chosen)


def _distinct(
    owner: NDArray[np.int64], keep: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the distinct entries, and for each entry its place among those."""
    names = owner.astype(">u4")[:, None].view(np.uint8)  # big end first: sorted by image
    rows = np.concatenate([names, np.packbits(keep, axis=1)], axis=1)
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, chosen, place = np.unique(keys, return_index=True, return_inverse=True)
    return chosen, place


def _mean_per_image(
    values: NDArray[np.float64], image: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Mean over the orders of each image: (R, ...) -> (N, ...)."""
    total = np.zeros((n, *values.shape[1:]))
    np.add.at(total, image, values)
    counts = np.bincount(image, minlength=n)
    return np.asarray(total / counts.reshape(-1, *[1] * (values.ndim - 1)), dtype=np.float64)
