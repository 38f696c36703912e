"""One training step per method: a batch becomes named losses.

A step is a module around the model, so that Fabric can wrap it for several devices; its buffers
(GroupDRO's group weights) are part of the checkpoint. The mean over the processes of what a step
returns is the loss of the global batch (`ifambench.models.ranks`). The two-stage model's steps are
in `ifambench.train.ifam_steps`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifambench.models.base import Classifier
from ifambench.predict.oracle import oracle_patches
from ifambench.train.augment import augment
from ifambench.train.optimizer_groups import optimizer_groups
from ifambench.train.ranks import all_sum
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
    pixel_masks: Tensor | None = None
    """(B, H, W) bool, its pixels instead, where the augmentation moves the object."""


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
        self.class_weights: Tensor | None = None

    def begin(self, y: Tensor, group: Tensor) -> None:
        """What a method takes from the training split before its first step.

        Args:
            y: (N,) class of every training image.
            group: (N,) group; read by group-aware methods only.
        """
        self.balance(y)

    def balance(self, y: Tensor) -> None:
        """Weigh the classes of all further losses evenly, if the recipe says so.

        Args:
            y: (N,) class of every training image.
        """
        if self.recipe.class_balanced:
            counts = torch.bincount(y, minlength=self.model.num_classes).clamp(min=1)
            self.class_weights = len(y) / (self.model.num_classes * counts.double())

    def class_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """(B,) cross-entropy, times the weight of the class."""
        loss = F.cross_entropy(logits, y, reduction="none")
        return loss if self.class_weights is None else loss * self.class_weights.to(loss)[y]

    def mean_class_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean of `class_loss`."""
        if self.class_weights is None:
            return F.cross_entropy(logits, y)  # the fused mean rounds otherwise than a mean of it
        return self.class_loss(logits, y).mean()

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses by name; `total` is the one to minimise."""

    def parameter_groups(self, images: int) -> list[dict[str, Any]]:
        """Trainable parameters with `peak_lr` and `weight_decay`, for that many training images."""
        return optimizer_groups(self.model, self.recipe, images)

    def sampling(self, group: Tensor) -> Tensor | None:
        """Weights to draw training images with, with replacement; None: every image once.

        Args:
            group: (N,) group of every training image; read by group-aware methods only.

        Returns:
            (N,) float64.
        """
        return None

    def augmented(self, batch: Batch) -> Batch:
        """The batch as the model sees it."""
        images, masks = augment(
            self.recipe, batch.images, batch.pixel_masks, self.model.data_config
        )
        keep = batch.keep
        if masks is not None:
            keep = oracle_patches(self.model, masks.cpu().numpy()).to(images.device)
        return batch._replace(images=images, keep=keep, pixel_masks=masks)


class ErmStep(Step):
    """Empirical risk minimisation: mean cross-entropy."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the batch."""
        loss = self.per_image(batch).mean()
        return {"class": loss, "total": loss}

    def per_image(self, batch: Batch) -> Tensor:
        """(B,) cross-entropy."""
        seen = self.augmented(batch)
        return self.class_loss(self.model.logits(seen.images, seen.keep), seen.y)


class RwgStep(ErmStep):
    """RWG (Idrissi et al. 2022, arXiv 2110.14503): ERM on images drawn with weight 1 / n_group."""

    def sampling(self, group: Tensor) -> Tensor:
        """Every group is drawn equally often."""
        return even_over(group)


class JttStep(ErmStep):
    """Second training of JTT (Liu et al. 2021, arXiv 2107.09044): errors are drawn more often.

    Published is an epoch in which every error is repeated `jtt_weight` times; here an epoch stays
    as long as for the other methods.

    Args:
        model: A new model.
        recipe: Its recipe.
        errors: (N,) bool, the training images that the first model got wrong.
    """

    def __init__(self, model: Classifier, recipe: Recipe, errors: Tensor) -> None:
        super().__init__(model, recipe)
        self.errors = errors

    def sampling(self, group: Tensor) -> Tensor:
        """`jtt_weight` for errors, 1 for the others."""
        return torch.where(self.errors, self.recipe.jtt_weight, 1.0).double()


class GroupDroStep(ErmStep):
    """GroupDRO (Sagawa et al. 2020, arXiv 1911.08731): worst-case weights over groups.

    q_g <- q_g exp(eta L_g), normalised; the loss is sum_g q_g L_g, L_g the mean loss of the
    group's images in the batch (0 when there are none). q starts even over the groups that the
    training split has.
    """

    def __init__(self, model: Classifier, recipe: Recipe, num_groups: int) -> None:
        super().__init__(model, recipe)
        self.group_weights: Tensor
        self.register_buffer("group_weights", torch.full((num_groups,), 1.0 / num_groups))

    def begin(self, y: Tensor, group: Tensor) -> None:
        """Also leaves out groups without training images: their weight would scale the loss."""
        super().begin(y, group)
        present = torch.bincount(group, minlength=len(self.group_weights)) > 0
        self.group_weights.copy_(present / present.sum())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted loss; updates the group weights."""
        per_image = self.per_image(batch)
        member = F.one_hot(batch.group, len(self.group_weights)).to(per_image)  # (B, G)
        summed = all_sum((member * per_image[:, None]).sum(0))  # over all processes: they agree
        group_loss = summed / all_sum(member.sum(0)).clamp_min(1)
        if self.training:
            grown = self.group_weights * (self.recipe.group_step * group_loss.detach()).exp()
            self.group_weights.copy_(grown / grown.sum())
        total = (self.group_weights * group_loss).sum()
        return {"class": per_image.mean(), "total": total}

    def sampling(self, group: Tensor) -> Tensor | None:
        """Every group equally often, unless the recipe says otherwise."""
        return even_over(group) if self.recipe.group_balanced else None


def even_over(group: Tensor) -> Tensor:
    """Weights that draw every group equally often: 1 / n_group, (N,) float64."""
    return 1.0 / torch.bincount(group).double()[group]
