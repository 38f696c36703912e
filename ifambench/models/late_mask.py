"""Late masking: a ViT looks at the whole image, and the object's patch tokens are averaged.

The true mask multiplies the patch tokens after the last norm, and the mean goes over *all* patches,
so the vector shrinks with the object's area (as in the published comparison, arXiv 2506.08915). A
linear layer with bias follows.

The model needs the true masks. It has no capability `tokens`: when the mask is applied, attention
has mixed the whole image into every token, so there is no prediction "from some patches alone", and
changing pixels outside the mask does change the logits. That is what it is for: the gap to early
masking (`oracle-vit-*`) is the background that leaks through attention.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from ifambench.models.base import Trace, one_image_size
from ifambench.models.tokens import all_patches, embed, encode
from ifambench.models.trace import trace_vit
from ifambench.models.vit import VitClassifier, data_config_of, make_vit

MODELS = {
    "late-vit-{size}": {
        "build": "build_late_vit",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "oracle",
        "method": "erm",
        "methods": ["erm"],
        "labels_needed": "masks",
        "summary": "ViT on the whole image, mean of the true object's patch tokens (late masking)",
    },
}


class LateMaskVit(VitClassifier):
    """A timm ViT whose patch tokens are masked after the last norm."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"trace", "true_masks"})

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits, (B, C); `masks` (B, h, w) bool is required."""
        kept = all_patches(self._embed(images), self.num_prefix_tokens)
        return self._classify(encode(self.vit, kept), self._required(masks))

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass; the head reads the tokens in the mask in equal parts."""
        inside = self._required(masks).flatten(1)
        kept = all_patches(self._embed(images), self.num_prefix_tokens)
        traced = trace_vit(self.vit, kept, lambda encoded: self._classify(encoded, inside))
        read = kept.valid.clone()
        read[:, : self.num_prefix_tokens] = False
        read[:, self.num_prefix_tokens :] = inside
        return traced._replace(readout=read / read.sum(dim=1, keepdim=True).clamp(min=1))

    def _embed(self, images: Tensor) -> Tensor:
        one_image_size(images, self.data_config)
        return embed(self.vit, images)

    def _classify(self, encoded: Tensor, masks: Tensor) -> Tensor:
        """Tokens (B, P + N, D) and masks (B, h, w) or (B, N) -> (B, C)."""
        patches = encoded[:, self.num_prefix_tokens :]  # (B, N, D)
        inside = masks.flatten(1)[..., None].to(patches)  # (B, N, 1)
        logits: Tensor = self.vit.head((patches * inside).mean(dim=1))
        return logits

    def _required(self, masks: Tensor | None) -> Tensor:
        if masks is None:
            raise self.lacks("prediction without true masks")
        return masks


def build_late_vit(
    num_classes: int,
    image_size: int,
    size: str = "micro",
    mask_coverage: float = 0.5,
    **_: Any,
) -> LateMaskVit:
    """The network with class and register tokens; the head reads the patches."""
    vit = make_vit(size, image_size, num_classes)
    model = LateMaskVit(vit, data_config_of(size, image_size))
    model.mask_coverage = mask_coverage
    return model
