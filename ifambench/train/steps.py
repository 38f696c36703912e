"""One training step per method: a batch becomes named losses.

A step is a module around the model, so that Fabric can wrap it for several devices; its buffers
(GroupDRO's group weights) are part of the checkpoint.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifambench.models.base import Classifier
from ifambench.models.ifam import Ifam
from ifambench.train import losses
from ifambench.train.augment import colour_jitter, draw_affine, warp
from ifambench.train.recipes import Recipe


class Batch(NamedTuple):
    """Training images with what the methods need to know of them."""

    images: Tensor
    """(B, 3, H, W), normalised."""
    y: Tensor
    """(B,) class."""
    group: Tensor
    """(B,) group index; read by group-aware methods only."""
    keep: Tensor | None
    """(B, h, w) bool, patches of the true object; for models with true masks only."""


class Step(nn.Module):
    """Base of the training steps.

    Args:
        model: The model to train.
        recipe: Its recipe.
    """

    def __init__(self, model: Classifier, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses by name; `total` is the one to minimise."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters with their peak learning rates."""
        return [{"params": list(self.model.parameters()), "peak_lr": self.recipe.lr}]


class ErmStep(Step):
    """Empirical risk minimisation: mean cross-entropy."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the batch."""
        loss = self.per_image(batch).mean()
        return {"class": loss, "total": loss}

    def per_image(self, batch: Batch) -> Tensor:
        """(B,) cross-entropy."""
        images = colour_jitter(batch.images, self.recipe.jitter)
        return F.cross_entropy(self.model.logits(images, batch.keep), batch.y, reduction="none")


class GroupDroStep(ErmStep):
    """GroupDRO (Sagawa et al. 2020, arXiv 1911.08731): worst-case weights over groups.

    q_g <- q_g exp(eta L_g), normalised; the loss is sum_g q_g L_g, L_g the mean loss of the
    group's images in the batch (0 when there are none).
    """

    def __init__(self, model: Classifier, recipe: Recipe, num_groups: int) -> None:
        super().__init__(model, recipe)
        self.group_weights: Tensor
        self.register_buffer("group_weights", torch.full((num_groups,), 1.0 / num_groups))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted loss; updates the group weights."""
        per_image = self.per_image(batch)
        member = F.one_hot(batch.group, len(self.group_weights)).to(per_image)  # (B, G)
        group_loss = (member * per_image[:, None]).sum(0) / member.sum(0).clamp_min(1)
        if self.training:
            grown = self.group_weights * (self.recipe.group_step * group_loss.detach()).exp()
            self.group_weights.copy_(grown / grown.sum())
        total = (self.group_weights * group_loss).sum()
        return {"class": per_image.mean(), "total": total}


class IfamStep(Step):
    """Joint training of both stages; the backbone of stage 1 is frozen.

    The mask is detached: stage 2's loss does not reach stage 1 (as in the published code, where
    a cast to bool cuts the gradient).
    """

    model: Ifam

    def __init__(self, model: Ifam, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        model.stage_1.vit.requires_grad_(False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """All losses of both stages."""
        images = colour_jitter(batch.images, self.recipe.jitter)
        pair = draw_affine()
        with torch.no_grad():  # nothing in the frozen backbone is trained
            tokens = self.model.stage_1.tokens(torch.cat([images, warp(images, pair.forward)]))
        own, other = tokens.chunk(2)
        parts = self.model.stage_1(own)
        moved = warp(self.model.stage_1(other).maps, pair.backward)
        keep = self.model.noisy_mask(parts.scores.detach())
        found = {
            "class_stage_1": F.cross_entropy(parts.logits, batch.y),
            "class_stage_2": F.cross_entropy(self.model.logits_from_patches(images, keep), batch.y),
            "presence": losses.presence(parts.maps),
            "enforced_presence": losses.enforced_presence(parts.maps),
            "total_variation": losses.total_variation(parts.maps),
            "entropy": losses.entropy(parts.maps),
            "orthogonality": losses.orthogonality(parts.features),
            "equivariance": losses.equivariance(parts.maps, moved),
            "rim": losses.rim(parts.maps),
        }
        weighted = [self.recipe.losses[name] * value for name, value in found.items()]
        return found | {"total": torch.stack(weighted).sum()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Heads of stage 1 and all of stage 2, with their own learning rates."""
        stage_1 = [p for p in self.model.stage_1.parameters() if p.requires_grad]
        return [
            {"params": stage_1, "peak_lr": self.recipe.lr_stage_1},
            {"params": list(self.model.stage_2.parameters()), "peak_lr": self.recipe.lr},
        ]


def make_step(method: str, model: Classifier, recipe: Recipe, num_groups: int) -> Step:
    """The step of a method; DFR trains its base model by ERM."""
    if isinstance(model, Ifam):
        return IfamStep(model, recipe)
    if method == "groupdro":
        return GroupDroStep(model, recipe, num_groups)
    return ErmStep(model, recipe)
