"""A plain timm vision transformer behind the `Classifier` interface, and its masked upper bound.

`vit-*` is the ERM baseline: the head reads the class token. `vit-gap-*` is the same network whose
head reads the mean of the patch tokens after the last norm. `oracle-vit-*` is `vit-*` shown only
the patches of the true object (early masking with true masks).
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from ifambench.models.base import DataConfig, Trace, one_image_size
from ifambench.models.relprop import relprop_of
from ifambench.models.tokens import Kept, all_patches, embed, embed_kept, encode, pool
from ifambench.models.trace import trace_vit
from ifambench.models.vit import VitClassifier, data_config_of, make_vit

MODELS = {
    "vit-{size}": {
        "build": "build_vit",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "vit",
        "method": "erm",
        "methods": ["erm", "rwg", "groupdro", "jtt", "mixup", "dfr", "probe"],
        "labels_needed": "none",
        "summary": "ViT, class token, trained from all patches (ERM)",
    },
    "vit-gap-{size}": {
        "build": "build_vit_gap",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "vit",
        "method": "erm",
        "methods": ["erm", "rwg", "groupdro", "jtt", "mixup", "dfr", "probe"],
        "labels_needed": "none",
        "summary": "ViT, mean of the patch tokens, trained from all patches (ERM)",
    },
    "oracle-vit-{size}": {
        "build": "build_oracle_vit",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "oracle",
        "method": "erm",
        "methods": ["erm"],
        "labels_needed": "masks",
        "summary": "ViT that sees only the patches of the true object: the upper bound",
    },
}


class TimmVit(VitClassifier):
    """A timm `VisionTransformer` with its own head."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"tokens", "trace"})

    def __init__(self, vit: Any, data_config: DataConfig) -> None:
        super().__init__(vit, data_config)
        # of this network, not of the class
        self.capabilities |= relprop_of(vit, vit.global_pool)  # type: ignore[misc]

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits from all patches, (B, C)."""
        return self._classify(self._tokens(images, None))

    def features(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """The input of the linear head, (B, D)."""
        kept = self._tokens(images, masks)
        return pool(self.vit, encode(self.vit, kept), kept.valid)

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        """Class logits from the kept patches alone, (B, C)."""
        return self._classify(self._tokens(images, keep))

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass with attention maps and the Grad-CAM layer exposed."""
        kept = self._tokens(images, masks)
        return trace_vit(
            self.vit, kept, lambda encoded: self._head(encoded, kept.valid), linear=self.vit.head
        )

    def _tokens(self, images: Tensor, keep: Tensor | None) -> Kept:
        one_image_size(images, self.data_config)
        if keep is None:
            return all_patches(embed(self.vit, images), self.num_prefix_tokens)
        return embed_kept(self.vit, images, keep.flatten(1))

    def _classify(self, kept: Kept) -> Tensor:
        return self._head(encode(self.vit, kept), kept.valid)

    def _head(self, encoded: Tensor, valid: Tensor) -> Tensor:
        logits: Tensor = self.vit.head(pool(self.vit, encoded, valid))
        return logits


class OracleVit(TimmVit):
    """The same network, shown only the patches of the true object."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"tokens", "trace", "true_masks"})

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits from the patches in `masks` (B, h, w) bool, which is required."""
        if masks is None:
            raise self.lacks("prediction without true masks")
        return self.logits_from_patches(images, masks)


def build_vit(num_classes: int, image_size: int, size: str = "micro", **_: Any) -> TimmVit:
    """The plain ViT; its head reads the class token."""
    return TimmVit(make_vit(size, image_size, num_classes), data_config_of(size, image_size))


def build_vit_gap(num_classes: int, image_size: int, size: str = "micro", **_: Any) -> TimmVit:
    """The plain ViT with class and register tokens; its head reads the mean of the patches.

    The norm stays before the mean, where the pretrained weights have it.
    """
    vit = make_vit(size, image_size, num_classes, global_pool="avg", fc_norm=False)
    return TimmVit(vit, data_config_of(size, image_size))


def build_oracle_vit(
    num_classes: int,
    image_size: int,
    size: str = "micro",
    mask_coverage: float = 0.5,
    **_: Any,
) -> OracleVit:
    """The plain ViT with true masks."""
    model = OracleVit(make_vit(size, image_size, num_classes), data_config_of(size, image_size))
    model.mask_coverage = mask_coverage
    return model
