"""Mixup (Zhang et al. 2018, arXiv 1710.09412): convex combinations of images and their losses."""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.train.ranks import current_ranks, gather
from ifambench.train.steps import Batch, Step


class MixupStep(Step):
    """Cross-entropy of lambda x + (1 - lambda) x', lambda ~ Beta(alpha, alpha), one per batch.

    x' are the images of the batch in another order.
    """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The mixed cross-entropy."""
        seen = self.augmented(batch)
        share = self.draw_share()
        partner = draw_order(len(seen.y)).to(seen.y.device)
        others, other_y = whole(seen.images)[partner], whole(seen.y)[partner]
        logits = self.model.logits(share * seen.images + (1 - share) * others)
        loss = share * self.mean_class_loss(logits, seen.y)
        loss = loss + (1 - share) * self.mean_class_loss(logits, other_y)
        return {"class": loss, "total": loss}

    def draw_share(self) -> float:
        """Lambda, from torch's global generator."""
        alpha = self.recipe.mixup_alpha
        return float(torch.distributions.Beta(alpha, alpha).sample())


def draw_order(local: int) -> Tensor:
    """Partners of this process's images, (B,) rows of the global batch."""
    ranks = current_ranks()
    return ranks.shard(torch.randperm(ranks.rows(local)))


def whole(own: Tensor) -> Tensor:
    """The global batch, from every process's part (B, ...)."""
    return gather(own).flatten(0, 1)
