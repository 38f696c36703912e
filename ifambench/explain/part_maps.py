"""The relevance maps of one explainer on one part: all draws, in batches, with what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.images import Part
from ifambench.explain.keep_score import scores_of_sets
from ifambench.explain.waves import passes_of_map
from ifambench.progress import Progress


@dataclass(frozen=True)
class Maps:
    """The maps of one explainer on one part.

    Attributes:
        values: (D, N, h, w) relevance of D draws.
        seconds: Spent on them.
    """

    values: NDArray[np.float32]
    seconds: float


def maps_of(part: Part, name: str, draws: int, progress: Progress) -> Maps:
    """The maps of all draws, on the host.

    Args:
        part: The images.
        name: The explainer; where it removes patches itself, the headline operator does it.
        draws: How many, 1 but for explainers that are averaged over draws.
        progress: Told about the first draw, which is what was planned.
    """
    started = perf_counter()
    told = [progress, *[Progress()] * (draws - 1)]
    values = np.stack([_relevance(part, name, draw, told[draw]) for draw in range(draws)])
    return Maps(values, perf_counter() - started)


def _relevance(part: Part, name: str, draw: int, progress: Progress) -> NDArray[np.float32]:
    """(N, h, w) relevance of one draw, in batches."""
    settings, model, size = part.work.settings, part.work.model, part.work.images_at_once
    images, masks = part.batch
    scorer = part.scorer(settings.headline)
    coverage = torch.from_numpy(part.coverage).to(images.device, torch.float32)
    found = []
    for start in range(0, len(images), size):
        chosen = slice(start, start + size)
        context = ExplainContext(
            ids=part.ids[chosen],
            seed=settings.seed,
            masks=None if masks is None else masks[chosen],
            draw=draw,
            coverage=coverage[chosen],
            score=scores_of_sets(scorer, start),
            batch_size=size,
        )
        targets = scorer.targets[chosen]
        found.append(relevance_of(name, model, images[chosen], targets, context))
        progress.advance(passes_of_map(part.work, name) * len(targets), name)
    return np.asarray(torch.cat(found).cpu().numpy(), dtype=np.float32)
