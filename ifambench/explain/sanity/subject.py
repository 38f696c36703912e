"""What an explainer is asked about: a model, images with their targets, and what belongs to them.

The checks ask the same explainer about altered weights, targets and pixels; everything else stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.explain.base import ExplainContext, KeepScore, relevance_of
from ifambench.explain.images import ExplainSettings, Part
from ifambench.explain.keep_score import scores_of_sets
from ifambench.explain.scoring import scorer_of
from ifambench.models.base import Classifier

PROTOCOL = "sanity/1"
"""Version of everything that decides a value of the checks."""


@dataclass(frozen=True)
class Subject:
    """Images of one model, on its device.

    Attributes:
        model: The model.
        images: (B, 3, H, W), normalised.
        masks: (B, h, w) patches of the true object, for models that need them.
        targets: (B,) the explained class.
        coverage: (B, h, w) share of each patch on the true object.
        ids: B image ids.
        settings: How explanations are measured; the operator is the headline.
        at_once: Images that an explainer is given.
    """

    model: Classifier
    images: Tensor
    masks: Tensor | None
    targets: Tensor
    coverage: Tensor
    ids: list[str]
    settings: ExplainSettings
    at_once: int

    def relevance(self, explainer: str) -> NDArray[np.float32]:
        """(B, h, w) relevance, in batches; of an explainer with several draws the first one."""
        starts = range(0, len(self.ids), self.at_once)
        found = [self._batch(slice(at, at + self.at_once))._explained(explainer) for at in starts]
        return np.concatenate(found)

    @property
    def score(self) -> KeepScore:
        """The probability of the target when only some patches are left, under the operator."""
        scorer = scorer_of(
            self.model,
            self.images,
            self.targets,
            operator=self.settings.headline,
            ids=self.ids,
            masks=self.masks,
            seed=self.settings.seed,
            batch_size=self.settings.batch_size,
            precision=self.settings.precision,
        )
        return scores_of_sets(scorer)

    def _explained(self, explainer: str) -> NDArray[np.float32]:
        context = ExplainContext(
            ids=self.ids,
            seed=self.settings.seed,
            masks=self.masks,
            coverage=self.coverage,
            score=self.score,
            batch_size=self.at_once,
        )
        found = relevance_of(explainer, self.model, self.images, self.targets, context)
        return np.asarray(found.cpu().numpy(), dtype=np.float32)

    def _batch(self, part: slice) -> Subject:
        return replace(
            self,
            images=self.images[part],
            masks=None if self.masks is None else self.masks[part],
            targets=self.targets[part],
            coverage=self.coverage[part],
            ids=self.ids[part],
        )


def subject_of(part: Part, model: Classifier | None = None) -> Subject:
    """The images of a part, as the run's own model sees them or another one with its input."""
    images, masks = part.batch
    device = images.device
    return Subject(
        model=part.work.model if model is None else model,
        images=images,
        masks=masks,
        targets=torch.from_numpy(part.targets).to(device),
        coverage=torch.from_numpy(part.coverage).to(device, torch.float32),
        ids=part.ids,
        settings=part.work.settings,
        at_once=part.work.images_at_once,
    )
