"""A plain timm vision transformer behind the `Classifier` interface, and its masked upper bound.

`vit-micro` is the ERM baseline: class-token pooling, all patches. `oracle-vit-micro` is the same
network shown only the patches of the true object (early masking with true masks).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from ifambench.models.base import Classifier, DataConfig, Trace, one_image_size
from ifambench.models.timm_import import import_timm
from ifambench.models.tokens import (
    Kept,
    all_patches,
    drop_patches,
    embed,
    encode,
    pool,
    readout,
)

MODELS = {
    "vit-micro": {
        "build": "build_vit_micro",
        "family": "vit",
        "method": "erm",
        "summary": "ViT d64 L3 patch 8, class token, trained from all patches (ERM)",
        "labels_needed": "none",
        "methods": ["erm", "groupdro", "dfr"],
        "pretrained": "maskfeat-waterdigits",
    },
    "oracle-vit-micro": {
        "build": "build_oracle_vit_micro",
        "family": "oracle",
        "method": "erm",
        "summary": "vit-micro that sees only the patches of the true object: the upper bound",
        "labels_needed": "masks",
        "methods": ["erm"],
        "pretrained": "maskfeat-waterdigits",
    },
}


def micro_vit(image_size: int, **kwargs: Any) -> Any:
    """The backbone of all micro models: timm `VisionTransformer`, patch 8, D 64, 3 blocks."""
    timm = import_timm()
    sizes = {"img_size": image_size, "patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 2}
    return timm.models.vision_transformer.VisionTransformer(**(sizes | kwargs))


class TimmVit(Classifier):
    """A timm `VisionTransformer` with its own head.

    Args:
        vit: The network; any image size, with or without class and register tokens.
        data_config: The input it expects.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"tokens", "trace"})

    def __init__(self, vit: Any, data_config: DataConfig) -> None:
        super().__init__()
        self.vit = vit
        self.data_config = data_config
        self.num_classes = vit.num_classes
        self.patch_grid = tuple(vit.patch_embed.grid_size)
        self.num_prefix_tokens = vit.num_prefix_tokens

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits from all patches, (B, C)."""
        return self._classify(self._tokens(images, None))

    def backbones(self, init: str) -> list[Any]:
        """The one network, when the recipe asks for it."""
        return [self.vit] if init == "pretrained" else []

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
        return trace_vit(self.vit, kept, lambda encoded: self._head(encoded, kept.valid))

    def _tokens(self, images: Tensor, keep: Tensor | None) -> Kept:
        one_image_size(images, self.data_config)
        tokens = embed(self.vit, images)
        if keep is None:
            return all_patches(tokens, self.num_prefix_tokens)
        return drop_patches(tokens, keep.flatten(1), self.num_prefix_tokens)

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


def build_vit_micro(num_classes: int, image_size: int, **_: Any) -> TimmVit:
    """The plain micro ViT."""
    return TimmVit(micro_vit(image_size, num_classes=num_classes), DataConfig(image_size))


def build_oracle_vit_micro(num_classes: int, image_size: int, **_: Any) -> OracleVit:
    """The micro ViT with true masks."""
    return OracleVit(micro_vit(image_size, num_classes=num_classes), DataConfig(image_size))


def trace_vit(vit: Any, kept: Kept, head: Any) -> Trace:
    """Run blocks and head; collect attention of every block and the last block's normed input.

    The attention is read from the `qkv` projection, so fused attention stays on; a hook on
    `attn_drop` would collect nothing.
    """
    attention: list[Tensor] = []
    cam: list[Tensor] = []
    with _hooks(vit, kept, attention, cam):
        logits = head(encode(vit, kept))
    return Trace(logits, cam[0], attention, kept.index, kept.valid, readout(vit, kept.valid))


@contextmanager
def _hooks(vit: Any, kept: Kept, attention: list[Tensor], cam: list[Tensor]) -> Iterator[None]:
    def read_attention(block: Any) -> Any:
        return lambda _, __, qkv: attention.append(_attention(block.attn, qkv, kept.valid))

    handles = [b.attn.qkv.register_forward_hook(read_attention(b)) for b in vit.blocks]
    handles.append(vit.blocks[-1].norm1.register_forward_hook(lambda _, __, out: cam.append(out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attention(attn: Any, qkv: Tensor, valid: Tensor) -> Tensor:
    """(B, N, 3 D) -> (B, heads, N, N) attention probabilities, padding hidden."""
    batch, length, _ = qkv.shape
    q, k, _ = qkv.reshape(batch, length, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k = attn.q_norm(q), attn.k_norm(k)
    scores = (q * attn.scale) @ k.transpose(-2, -1)
    scores = scores.masked_fill(~valid[:, None, None, :], float("-inf"))
    return torch.softmax(scores, dim=-1)
