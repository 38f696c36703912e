"""PDiscoFormer: stage 1 of iFAM alone, the mean of its parts is the prediction.

Aniraj, Dantas, Ienco, Marcos: "PDiscoFormer: Relaxing Part Discovery Constraints with Vision
Transformers" (arXiv 2407.04538), in the form in which iFAM uses it (`Selector`).

The part maps weigh patch tokens that have seen the whole image, so they are an explanation, not a
selection: there is no capability `selection`, nor `tokens`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from ifambench.models.base import Classifier, DataConfig, Trace, one_image_size
from ifambench.models.ifam import Parts, Selector
from ifambench.models.tokens import all_patches, embed
from ifambench.models.trace import trace_vit
from ifambench.models.vit import data_config_of, make_vit

MODELS = {
    "pdiscoformer-vit-{size}": {
        "build": "build_pdiscoformer",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "pdiscoformer",
        "method": "parts",
        "methods": ["parts"],
        "labels_needed": "none",
        "summary": "stage 1 of iFAM alone: mean of discovered parts, whole image seen",
    },
}


class PDiscoFormer(Classifier):
    """Part discovery on the patch tokens of a ViT.

    Args:
        stage_1: The part discovery; named as in the two-stage model.
        data_config: The input it expects.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"trace", "parts"})

    def __init__(self, stage_1: Selector, data_config: DataConfig) -> None:
        super().__init__()
        self.stage_1 = stage_1
        self.data_config = data_config
        self.num_classes = stage_1.fc_class_landmarks.out_features
        self.patch_grid = tuple(stage_1.vit.patch_embed.grid_size)
        self.num_prefix_tokens = stage_1.vit.num_prefix_tokens

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits, the mean over the parts, (B, C)."""
        return self._parts(images).logits

    def part_maps(self, images: Tensor) -> Tensor:
        """Part probabilities, (B, K + 1, h, w), background last."""
        return self._parts(images).maps

    def part_votes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The part maps and the class logits of each part."""
        parts = self._parts(images)
        return parts.maps, parts.part_logits

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass; a token is read as far as it is foreground."""
        one_image_size(images, self.data_config)
        found: list[Parts] = []

        def head(encoded: Tensor) -> Tensor:
            found.append(self.stage_1(self._on_grid(encoded)))
            return found[-1].logits

        vit, prefix = self.stage_1.vit, self.num_prefix_tokens
        traced = trace_vit(vit, all_patches(embed(vit, images), prefix), head)
        read = F.pad((1 - found[0].maps[:, -1]).flatten(1), (prefix, 0))  # (B, P + N)
        return traced._replace(readout=read / read.sum(dim=1, keepdim=True).clamp(min=1e-12))

    def backbones(self, init: str) -> list[Any]:
        """The one network, always: it is frozen."""
        return [self.stage_1.vit]

    def _parts(self, images: Tensor) -> Parts:
        one_image_size(images, self.data_config)
        parts: Parts = self.stage_1(self.stage_1.tokens(images))
        return parts

    def _on_grid(self, encoded: Tensor) -> Tensor:
        """(B, P + N, D) -> (B, D, h, w)."""
        patches = encoded[:, self.num_prefix_tokens :].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], *self.patch_grid)


def build_pdiscoformer(
    num_classes: int,
    image_size: int,
    size: str = "micro",
    num_parts: int = 4,
    part_dropout: float = 0.3,
    gumbel: bool = True,
    temperature: float = 1.0,
    **_: Any,
) -> PDiscoFormer:
    """K parts, part dropout, Gumbel noise and temperature come from the recipe."""
    vit = make_vit(size, image_size, num_classes=0)
    stage_1 = Selector(vit, num_parts, num_classes, part_dropout, gumbel, temperature)
    return PDiscoFormer(stage_1, data_config_of(size, image_size))
