"""A score that is exactly a sum over patches, so that every check is known in closed form."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ifambench.explain.images import ExplainSettings
from ifambench.explain.sanity.subject import Subject
from ifambench.models.base import Classifier, DataConfig
from tests.explain.toy_models import GRID, SIDE, logit, patch_means

N = GRID[0] * GRID[1]


def parts(images: int, seed: int = 0) -> Tensor:
    """(B, h, w) positive contributions of the patches, 0.8 together."""
    draws = torch.rand(images, N, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return (0.8 * draws / draws.sum(dim=1, keepdim=True)).reshape(images, *GRID)


class Additive(Classifier):
    """The probability of class 1 is 0.1 plus the brightness of all patches.

    So a patch's contribution is its brightness, and filling it with 0 removes just that.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.data_config, self.num_classes = DataConfig(SIDE), classes
        self.patch_grid, self.num_prefix_tokens = GRID, 0

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        y = logit(0.1 + patch_means(images.double()).sum(dim=1))
        return torch.stack([torch.zeros_like(y), y], dim=1)


class Constant(Additive):
    """Nothing matters."""

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        return images.new_zeros(len(images), self.num_classes)


def pixels(contributions: Tensor) -> Tensor:
    """Images whose patches have these brightnesses."""
    side = SIDE // GRID[0]
    grown = contributions.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    return grown[:, None].expand(-1, 3, -1, -1).to(torch.float32).contiguous()


def subject(
    model: Classifier,
    images: Tensor,
    masks: Tensor | None = None,
    target: int = 1,
    at_once: int = 64,
    **settings: Any,
) -> Subject:
    n = len(images)
    return Subject(
        model=model,
        images=images,
        masks=masks,
        targets=torch.full((n,), target),
        coverage=torch.full((n, *model.patch_grid), torch.nan),
        ids=[f"image-{k}" for k in range(n)],
        settings=ExplainSettings(**settings),
        at_once=at_once,
    )
