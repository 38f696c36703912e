"""Explain-then-predict: a post-hoc explanation in the place of iFAM's mask.

A plain ViT is explained on the whole image (Grad-CAM of its predicted class, or attention rollout),
the most relevant patches are picked, and the same network predicts from those patches alone. Its
prediction then depends on the picked patches only, as that of a two-stage model does, so post-hoc
maps compete with a learned mask at its own game: is what they point at enough to be right?

The weights are those of the plain model; nothing is trained for the masked input. Like any such
mask, the choice itself is made from the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ifambench.models.base import DataConfig, Selection, Trace, one_image_size
from ifambench.models.pick import OTSU, check_keep_fraction, pick_patches
from ifambench.models.timm_vit import TimmVit
from ifambench.models.vit import data_config_of, make_vit
from ifambench.registry import Registry

MODELS = {
    "gradcam-vit-{size}": {
        "build": "build_gradcam_vit",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "vit",
        "method": "erm",
        "methods": ["erm", "rwg", "groupdro", "jtt", "mixup", "dfr", "probe"],
        "labels_needed": "none",
        "trained_as": "vit",
        "summary": "the plain ViT, shown only the patches its own Grad-CAM picks",
    },
    "rollout-vit-{size}": {
        "build": "build_rollout_vit",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "vit",
        "method": "erm",
        "methods": ["erm", "rwg", "groupdro", "jtt", "mixup", "dfr", "probe"],
        "labels_needed": "none",
        "trained_as": "vit",
        "summary": "the plain ViT, shown only the patches its attention rollout picks",
    },
}

# by name, because explainers lie above the models: only the catalogue is known here
_EXPLAINERS = Registry(kind="explainer", package="ifambench.explain.methods", constant="EXPLAINERS")


@dataclass(frozen=True)
class _Unmasked:
    """What an explainer is told of a whole image (`ifambench.explain.base.ExplainContext`)."""

    ids: tuple[str, ...] = ()
    seed: int = 0
    masks: None = None
    draw: int = 0
    batch_size: int = 64


class ExplainThenPredict(TimmVit):
    """A plain ViT that sees the patches its own explanation picks.

    Args:
        vit: The network; its weights are those of the plain model.
        data_config: The input it expects.
        explainer: Name of a deterministic explainer that needs `trace`.
        keep_fraction: Share of the patches to keep; 0 for Otsu's threshold.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"tokens", "trace", "selection"})

    def __init__(
        self, vit: Any, data_config: DataConfig, explainer: str, keep_fraction: float = OTSU
    ) -> None:
        super().__init__(vit, data_config)
        self.explainer = explainer
        self.keep_fraction = check_keep_fraction(keep_fraction)

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits from the picked patches alone, (B, C)."""
        return self.logits_from_patches(images, self.select(images).mask)

    def select(self, images: Tensor) -> Selection:
        """The picked patches; the foreground is the relevance, scaled to [0, 1] per image."""
        relevance = self.relevance(images)
        low, high = (
            relevance.amin(dim=(1, 2), keepdim=True),
            relevance.amax(dim=(1, 2), keepdim=True),
        )
        span = torch.where(high > low, high - low, 1)
        foreground = torch.where(high > low, (relevance - low) / span, 1)
        maps = torch.stack([foreground, 1 - foreground], dim=1)
        return Selection(pick_patches(relevance, self.keep_fraction), foreground, maps)

    def relevance(self, images: Tensor) -> Tensor:
        """The explanation of the plain model's prediction, (B, h, w), without gradient."""
        one_image_size(images, self.data_config)
        plain = TimmVit(self.vit, self.data_config)
        entry = _EXPLAINERS.entry(self.explainer)
        if entry.info["class_specific"]:
            with torch.no_grad():
                targets = plain.logits(images).argmax(dim=1)
        else:
            targets = torch.zeros(len(images), dtype=torch.long, device=images.device)
        found: Tensor = entry.load()(plain, images, targets, _Unmasked())
        return found.detach()

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass on the picked patches."""
        return super().trace(images, self.select(images).mask)


def build_gradcam_vit(
    num_classes: int,
    image_size: int,
    size: str = "micro",
    keep_fraction: float = OTSU,
    **_: Any,
) -> ExplainThenPredict:
    """A plain ViT that sees what Grad-CAM of its predicted class picks."""
    return _build("grad-cam", num_classes, image_size, size, keep_fraction)


def build_rollout_vit(
    num_classes: int,
    image_size: int,
    size: str = "micro",
    keep_fraction: float = OTSU,
    **_: Any,
) -> ExplainThenPredict:
    """A plain ViT that sees what its attention rollout picks."""
    return _build("attention-rollout", num_classes, image_size, size, keep_fraction)


def _build(
    explainer: str, num_classes: int, image_size: int, size: str, keep_fraction: float
) -> ExplainThenPredict:
    vit = make_vit(size, image_size, num_classes)
    return ExplainThenPredict(vit, data_config_of(size, image_size), explainer, keep_fraction)
