"""Sets of patches by way of the embedded tokens, for networks whose patches do not overlap.

Where each patch token depends on the pixels of its own patch alone, image and fill are embedded
once, and every input of a curve is made of their tokens: chosen token by token instead of pixel by
pixel (fills), or gathered (`drop`, `model`). The numbers are those of filled pixels, and neither
pixels nor embeddings are made anew for each step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ifambench.models.base import Classifier
from ifambench.models.ifam import Ifam
from ifambench.models.timm_vit import TimmVit
from ifambench.models.tokens import Kept, all_patches, embed, encode, pool


class TokenPath(NamedTuple):
    """The network that reads the patches, in two halves."""

    embed: Callable[[Tensor], Tensor]
    """Images (B, 3, H, W) -> tokens (B, P + n, D)."""
    classify: Callable[[Kept], Tensor]
    """Tokens -> class logits (B, C)."""


def mixing_path(model: Classifier) -> TokenPath | None:
    """The path for fills: the model must predict from all tokens of one plain ViT.

    A model with a first stage is not among them, because its choice changes with the pixels.
    """
    if _is_method(model.logits, TimmVit.logits):
        return _plain_path(model)
    return None


def dropping_path(model: Classifier) -> TokenPath | None:
    """The path for `drop` and `model`: of a plain ViT, or the second stage of iFAM."""
    if _is_method(model.logits_from_patches, TimmVit.logits_from_patches):
        return _plain_path(model)
    if not _is_method(model.logits_from_patches, Ifam.logits_from_patches):
        return None
    stage_2: Any = model.stage_2

    def classify(kept: Kept) -> Tensor:
        logits: Tensor = stage_2.classify(encode(stage_2.vit, kept), kept.valid)
        return logits

    return TokenPath(partial(embed, stage_2.vit), classify)


def mix(tokens: Tensor, fill: Tensor, keep: Tensor, num_prefix: int) -> Kept:
    """Tokens of the image where `keep` is True, of the fill elsewhere.

    Args:
        tokens: (M, P + n, D).
        fill: (1 or M, P + n, D).
        keep: (M, n) bool.
        num_prefix: P; prefix tokens do not depend on the pixels.
    """
    seen = torch.nn.functional.pad(keep, (num_prefix, 0), value=True)
    return all_patches(torch.where(seen[..., None], tokens, fill), num_prefix)


def take(tokens: Tensor, index: Tensor, keep: Tensor, count: int, num_prefix: int) -> Kept:
    """Sequences of equal length from sets of equally many patches, without padding.

    Args:
        tokens: (N, P + n, D) of all images.
        index: (M,) the image of each set.
        keep: (M, n) bool, `count` of each row are True.
        count: Patches of each set.
        num_prefix: P.
    """
    # a stable sort of "dropped" puts the kept patches first and leaves them in raster order
    patches = (~keep).int().argsort(dim=1, stable=True)[:, :count]  # (M, count)
    prefix = torch.arange(num_prefix, device=tokens.device).expand(len(keep), -1)
    chosen = torch.cat([prefix, num_prefix + patches], dim=1)
    valid = keep.new_ones(chosen.shape)
    return Kept(tokens[index[:, None], chosen], valid, patches)


def _plain_path(model: Any) -> TokenPath:
    vit = model.vit

    def classify(kept: Kept) -> Tensor:
        logits: Tensor = vit.head(pool(vit, encode(vit, kept), kept.valid))
        return logits

    return TokenPath(partial(embed, vit), classify)


def _is_method(bound: Any, function: Any) -> bool:
    """Whether a method is this very function: not replaced in a derived class or on the object."""
    return getattr(bound, "__func__", None) is function
