"""The score of the target when only some patches are left, for explainers that remove patches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ifambench.explain.base import ExplainContext, KeepScore
from ifambench.explain.scoring import Scorer, evaluate, scorer_of
from ifambench.models.base import Classifier


def keep_score(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> KeepScore:
    """The score of the run, or with removed patches 0 after normalisation where there is none.

    Args:
        model: In eval mode.
        images: (B, 3, H, W).
        targets: (B,).
        context: Of the explainer.
    """
    if context.score is not None:
        return context.score
    scorer = scorer_of(
        model,
        images,
        targets,
        ids=context.ids,
        masks=context.masks,
        seed=context.seed,
        batch_size=context.batch_size,
    )
    return scores_of_sets(scorer)


def scores_of_sets(scorer: Scorer, first: int = 0) -> KeepScore:
    """A scorer as a function of sets of patches.

    Args:
        scorer: Model, operator and targets.
        first: The image that the function calls 0.
    """
    allowed = scorer.removal.allowed

    def score(index: Tensor, keep: Tensor) -> Tensor:
        image = index.to(scorer.targets.device) + first
        left = keep.flatten(1).to(image.device)
        left = left if allowed is None else left & allowed[image]
        with torch.no_grad():
            return _probabilities(scorer, image, left)

    return score


def _probabilities(scorer: Scorer, image: Tensor, keep: Tensor) -> Tensor:
    owner, count = image.cpu().numpy(), keep.sum(dim=1).cpu().numpy()
    found = evaluate(
        scorer,
        owner,
        count,
        lambda order: keep[torch.from_numpy(np.asarray(order)).to(keep.device)].__getitem__,
    )
    # a copy outside of inference mode can be computed with like any other tensor
    return found[:, 0].to(torch.float32).clone()
