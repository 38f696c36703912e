"""Two-stage models that leak in one place each, and one that only looks as if it did.

All share weights and masks with `honest()`; only stage 2's way to apply the mask differs.
"""

from typing import Any

import torch
from torch import Tensor

from ifambench.models.ifam import Ifam
from ifambench.models.tokens import all_patches, embed, encode, mean_token
from tests.models.small_ifam import tiny_ifam

CLASSES = 2


def honest(**options: Any) -> Ifam:
    """Patches are dropped."""
    return tiny_ifam(classes=CLASSES, **options)


def leaking(kind: type[Ifam]) -> Ifam:
    """The honest model with another stage 2."""
    model = honest()
    model.__class__ = kind
    return model


class _Masking(Ifam):
    """Stage 2 encodes the whole sequence."""

    def _kept(self, images: Tensor) -> Any:
        return all_patches(embed(self.stage_2.vit, images), self.num_prefix_tokens)

    def _on_tokens(self, keep: Tensor) -> Tensor:
        prefix = keep.new_ones(len(keep), self.num_prefix_tokens)
        return torch.cat([prefix, keep.flatten(1)], dim=1)


class KeyMask(_Masking):
    """No leak for finite pixels: dropped patches are no keys, and the class token is read."""

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        visible = self._on_tokens(keep)
        kept = self._kept(images)._replace(valid=visible)
        return self.stage_2.classify(encode(self.stage_2.vit, kept), visible)


class SoftFloor(_Masking):
    """Dropped patches keep a small weight."""

    floor = 1e-2

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        bias = (self._on_tokens(keep).to(images) + self.floor).log()
        kept = self._kept(images)._replace(bias=bias)
        return self.stage_2.classify(encode(self.stage_2.vit, kept), kept.valid)


class AveragePool(_Masking):
    """Dropped patches are no keys, but the head averages over all tokens."""

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        visible = self._on_tokens(keep)
        encoded = encode(self.stage_2.vit, self._kept(images)._replace(valid=visible))
        everything = torch.ones_like(visible)
        equal = torch.full(visible.shape, 1 / visible.shape[1])
        stage_2 = self.stage_2
        return stage_2.head(stage_2.fc_norm(mean_token(encoded, everything, equal)))


class LateMask(_Masking):
    """The mask only says which of the encoded tokens are averaged."""

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        kept = self._kept(images)
        visible = self._on_tokens(keep)
        weights = visible / visible.sum(dim=1, keepdim=True)
        stage_2 = self.stage_2
        read = mean_token(encode(stage_2.vit, kept), kept.valid, weights)
        return stage_2.head(stage_2.fc_norm(read))


class Multiplied(Ifam):
    """Values and weights are multiplied by 0 instead of dropped: 0 times NaN is NaN."""

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        return self.stage_2.weighted(images, keep.flatten(1).to(images))


class SelectsEverything(Ifam):
    """The mask of stage 1 is all patches: no explanation, and no leak."""

    def select_from(self, tokens: Tensor, noise: Tensor | None = None) -> Any:
        found = super().select_from(tokens, noise)
        return found._replace(mask=torch.ones_like(found.mask))


class SelectsTheWeakest(Ifam):
    """The mask of stage 1 is what its own soft foreground denies."""

    def select_from(self, tokens: Tensor, noise: Tensor | None = None) -> Any:
        found = super().select_from(tokens, noise)
        return found._replace(mask=~found.mask)


class SelectsNothing(Ifam):
    """The mask of stage 1 is empty."""

    def select_from(self, tokens: Tensor, noise: Tensor | None = None) -> Any:
        found = super().select_from(tokens, noise)
        return found._replace(mask=torch.zeros_like(found.mask))
