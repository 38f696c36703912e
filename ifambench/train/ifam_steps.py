"""The training steps of the part-based models: stage 1 alone, and both stages together.

All draws come from torch's global generator in a fixed order: augmentation, the affine map of the
batch, noise and dropped parts of stage 1 for the images, the same for their transformed copies,
and for the mask.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import torch
from torch import Tensor

from ifambench.models.base import Classifier
from ifambench.models.ifam import Ifam, Parts, Selector
from ifambench.train import losses
from ifambench.train.augment import draw_affine, warp
from ifambench.train.noise import dropped_parts, gumbel
from ifambench.train.recipes import Recipe
from ifambench.train.steps import Batch, Step

_TOKENS = ("cls_token", "reg_token", "pos_embed")


class Discovered(NamedTuple):
    """What the losses of stage 1 are taken of."""

    images: Tensor
    """(B, 3, H, W), augmented."""
    parts: Parts
    """Of the images."""
    moved: Tensor | None
    """(B, K + 1, h, w) part maps of the transformed copies, warped back; None if not wanted."""


class PartsStep(Step):
    """Part discovery: the losses of stage 1. Its backbone is frozen.

    With `train_stage_1_tokens`, as published, the class token, register tokens and positions of
    that backbone are trained, which takes a backward pass through it; else it is run without
    gradients.

    Args:
        model: A model with a `stage_1`.
        recipe: Its recipe.
    """

    def __init__(self, model: Classifier, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        self.stage_1.vit.requires_grad_(False)
        if recipe.train_stage_1_tokens:
            for name in _TOKENS:
                tensor = getattr(self.stage_1.vit, name, None)
                if tensor is not None:
                    tensor.requires_grad_(True)

    @property
    def stage_1(self) -> Selector:
        """The selector of the model."""
        found: Selector = self.model.stage_1  # type: ignore[assignment]
        return found

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """All losses of stage 1."""
        return self.weighted(self.losses_of_stage_1(self.discover(batch), batch.y))

    def discover(self, batch: Batch) -> Discovered:
        """Stage 1 on the images and, for equivariance, on copies, with noise of their own."""
        images = self.augmented(batch).images
        if not self.recipe.losses["equivariance"]:
            return Discovered(images, self.parts(self.tokens(images)), None)
        pair = draw_affine(images.shape[-1])
        tokens = self.tokens(torch.cat([images, warp(images, pair.forward)]))
        own, other = tokens.chunk(2)
        parts = self.parts(own)
        return Discovered(images, parts, warp(self.parts(other).maps, pair.backward))

    def tokens(self, images: Tensor) -> Tensor:
        """Patch tokens (B, D, h, w), with gradients only where some are wanted."""
        with contextlib.nullcontext() if self.recipe.train_stage_1_tokens else torch.no_grad():
            return self.stage_1.tokens(images)

    def parts(self, tokens: Tensor) -> Parts:
        """Parts from patch tokens, with fresh noise and dropped parts."""
        noise, dropped = self.draws(tokens, self.stage_1.part_dropout)
        parts: Parts = self.stage_1(tokens, noise, dropped)
        return parts

    def draws(self, maps: Tensor, part_dropout: float) -> tuple[Tensor | None, Tensor | None]:
        """Gumbel noise (B, K + 1, h, w) and dropped parts (B, K) for maps of (B, any, h, w)."""
        images, parts = len(maps), self.stage_1.num_parts
        noise = gumbel(images, parts + 1, *maps.shape[2:]) if self.stage_1.gumbel else None
        dropped = dropped_parts(images, parts, part_dropout)
        return noise, None if dropped is None else dropped.to(maps.device)

    def losses_of_stage_1(self, found: Discovered, y: Tensor) -> dict[str, Tensor]:
        """The losses by name, without weights."""
        maps = found.parts.maps
        official = self.recipe.compat == "official"
        orthogonality = losses.official_orthogonality if official else losses.orthogonality
        none = maps.new_zeros(())
        return {
            "class_stage_1": self.mean_class_loss(found.parts.logits, y),
            "presence": losses.presence(maps),
            "enforced_presence": losses.enforced_presence(maps),
            "total_variation": losses.total_variation(maps),
            "entropy": losses.entropy(maps),
            "orthogonality": orthogonality(found.parts.features),
            "equivariance": (
                none if found.moved is None else losses.equivariance(maps, found.moved)
            ),
            "rim": losses.rim(maps),
        }

    def weighted(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses and their weighted sum."""
        terms = [self.recipe.losses[name] * value for name, value in found.items()]
        return found | {"total": torch.stack(terms).sum()}


class IfamStep(PartsStep):
    """Joint training of both stages.

    How the loss of stage 2 reaches stage 1 is the model's `mask_gradient`; in the published code it
    does not (`detached`), because a cast to bool cuts the gradient.
    """

    model: Ifam

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """All losses of both stages."""
        found = self.discover(batch)
        logits = self.model.masked_logits(found.images, self.mask(found.parts.scores))
        stage_1 = self.losses_of_stage_1(found, batch.y)
        class_stage_1 = stage_1.pop("class_stage_1")
        return self.weighted(
            {
                "class_stage_1": class_stage_1,
                "class_stage_2": self.mean_class_loss(logits, batch.y),
                **stage_1,
            }
        )

    def mask(self, scores: Tensor) -> Tensor:
        """The mask of stage 2, with noise and dropped parts of its own."""
        return self.model.training_mask(scores, *self.draws(scores, self.model.mask_part_dropout))
