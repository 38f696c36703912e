"""Does the map keep still under a change that should not matter, and move with the class?

*Stability*: mean over N = 4 noisy copies x' = x + e of Spearman's correlation of the maps of x and
x', e normal with a standard deviation of 5 % of the range of the normalised image.

*Max-sensitivity* (Yeh et al. 2019, https://arxiv.org/abs/1901.09392): the largest of
|a(x') - a(x)| / |a(x)| over 4 copies x' drawn uniformly from the cube of radius 0.02 around x, in
normalised units. It equals `captum.metrics.sensitivity_max` for the same noise, but that a map of
zeros has none (captum divides by 1).

*Random logit* (Sixt, Granz and Landgraf 2020, https://arxiv.org/abs/1912.09818): correlation of the
maps for the target and for another class, drawn at random. Explainers that do not ask for the class
have 1 by construction.

The target stays that of the clean image. Noise and class belong to image id and seed. A map that
ignores the pixels is perfectly stable: none of this says that a map is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.explain.base import EXPLAINER_REGISTRY, stable_hash
from ifambench.explain.sanity.agreement import Values, spearman
from ifambench.explain.sanity.subject import PROTOCOL, Subject

NOISES = 4
SIGMA = 0.05
SAMPLES = 4
RADIUS = 0.02

Maps = NDArray[np.float32]


def stability(subject: Subject, explainer: str, maps: Maps) -> Values:
    """Mean correlation with the maps of noisy images, (B,); NaN where one of the maps is constant.

    Args:
        subject: The images.
        explainer: The explainer.
        maps: (B, h, w) its relevance for them.
    """
    low, high = (f(subject.images, dim=(1, 2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    found = []
    for draw in range(NOISES):
        noise = _noise(subject, f"stability {draw}", _normal)
        noisy = subject.images + SIGMA * (high - low) * noise
        found.append(spearman(maps, replace(subject, images=noisy).relevance(explainer)))
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def max_sensitivity(subject: Subject, explainer: str, maps: Maps) -> Values:
    """Largest relative change of the map in a small cube, (B,); NaN for a map of zeros."""
    size = _norms(maps)
    found = []
    for draw in range(SAMPLES):
        noisy = subject.images + RADIUS * _noise(subject, f"sensitivity {draw}", _uniform)
        found.append(_norms(replace(subject, images=noisy).relevance(explainer) - maps))
    largest = np.max(found, axis=0)
    share = np.divide(largest, size, out=np.full_like(size, np.nan), where=size > 0)
    return np.asarray(share, dtype=np.float64)


def random_logit(subject: Subject, explainer: str, maps: Maps) -> Values:
    """Correlation with the map for another class, (B,); NaN for a model with one class."""
    classes = subject.model.num_classes
    if classes < 2:
        return np.full(len(maps), np.nan)
    if not EXPLAINER_REGISTRY.entry(explainer).info.get("class_specific", True):
        return np.ones(len(maps))
    others = replace(subject, targets=other_classes(subject, classes))
    return spearman(maps, others.relevance(explainer))


def other_classes(subject: Subject, classes: int) -> Tensor:
    """(B,) a random class per image that is not its target."""
    seed = subject.settings.seed
    steps = [
        1 + Draws(stable_hash(PROTOCOL, "other class", name), seed).integer(classes - 1)
        for name in subject.ids
    ]
    return (subject.targets + torch.tensor(steps, device=subject.targets.device)) % classes


def _noise(
    subject: Subject, purpose: str, draw: Callable[[torch.Size, torch.Generator], Tensor]
) -> Tensor:
    """Noise in the shape of the images, drawn on the CPU for each image by itself."""
    shape, found = subject.images.shape[1:], []
    for name in subject.ids:
        seed = stable_hash(PROTOCOL, purpose, name, subject.settings.seed) % 2**63
        found.append(draw(shape, torch.Generator().manual_seed(seed)))
    return torch.stack(found).to(subject.images)


def _normal(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _uniform(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=generator) - 1


def _norms(maps: Maps) -> Values:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    return np.asarray(np.linalg.norm(flat, axis=1), dtype=np.float64)
