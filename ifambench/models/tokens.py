"""Run a timm `VisionTransformer` on some of its patches.

The prefix tokens (class token, registers) are always kept. Patches are *dropped*, not multiplied
by zero: a pixel outside the kept patches cannot reach the output, not even as NaN. Images of a
batch may keep different numbers of patches; the shorter sequences are padded and the padding is
hidden from every query by the attention mask, so the result does not depend on the batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ifambench.errors import UsageError


class Kept(NamedTuple):
    """A batch of token sequences of unequal length."""

    tokens: Tensor
    """(B, P + n, D): prefix tokens, kept patches in raster order, padding."""
    valid: Tensor
    """(B, P + n) bool, False at padding."""
    index: Tensor  # type: ignore[assignment]
    """(B, n) raster index of each patch token (arbitrary at padding)."""
    bias: Tensor | None = None
    """(B, P + n) added to the attention scores of each key; None: nothing."""


def embed(vit: Any, images: Tensor) -> Tensor:
    """Patch embedding with positions and prefix tokens: (B, 3, H, W) -> (B, P + N, D)."""
    tokens: Tensor = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
    return tokens


def embed_kept(vit: Any, images: Tensor, keep: Tensor) -> Kept:
    """Patch embedding of the selected patches alone.

    Args:
        vit: The network.
        images: (B, 3, H, W).
        keep: (B, N) bool.
    """
    down, right = vit.patch_embed.patch_size
    seen = keep.view(len(keep), 1, *vit.patch_embed.grid_size)
    seen = seen.repeat_interleave(down, dim=2).repeat_interleave(right, dim=3)
    # convolutions in bf16 may multiply pixels next to a patch by 0: NaN would pass
    blanked = torch.where(seen, images, torch.zeros_like(images))
    return drop_patches(embed(vit, blanked), keep, vit.num_prefix_tokens)


def drop_patches(tokens: Tensor, keep: Tensor, num_prefix: int) -> Kept:
    """Keep the prefix tokens and the selected patches.

    Args:
        tokens: (B, P + N, D).
        keep: (B, N) bool.
        num_prefix: P.
    """
    longest = int(keep.sum(dim=1).max()) if len(keep) else 0
    # a stable sort of "dropped" puts the kept patches first and leaves them in raster order
    index = (~keep).int().argsort(dim=1, stable=True)[:, :longest]  # (B, n)
    patches = tokens[:, num_prefix:].gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))
    kept = keep.gather(1, index)
    # padding holds patches that were not selected: blank them, so that not even NaN can pass
    patches = torch.where(kept[..., None], patches, torch.zeros_like(patches))
    prefix = kept.new_ones(len(kept), num_prefix)
    return Kept(
        tokens=torch.cat([tokens[:, :num_prefix], patches], dim=1),
        valid=torch.cat([prefix, kept], dim=1),
        index=index,
    )


def encode(vit: Any, kept: Kept) -> Tensor:
    """Transformer blocks and final norm: (B, P + n, D)."""
    mask = None if bool(kept.valid.all()) else kept.valid[:, None, None, :]  # (B, 1, 1, P + n)
    if kept.bias is not None:
        mask = key_bias(kept)
    tokens = kept.tokens
    for block in vit.blocks:
        tokens = block(tokens, attn_mask=mask)
    encoded: Tensor = vit.norm(tokens)
    return encoded


def key_bias(kept: Kept) -> Tensor:
    """What is added to every query's attention scores, -inf at padding, (B, 1, 1, P + n)."""
    bias = kept.tokens.new_zeros(kept.valid.shape) if kept.bias is None else kept.bias
    return bias.masked_fill(~kept.valid, float("-inf"))[:, None, None, :]


def all_patches(tokens: Tensor, num_prefix: int) -> Kept:
    """The whole sequence as `Kept`."""
    batch, length, _ = tokens.shape
    index = torch.arange(length - num_prefix, device=tokens.device).expand(batch, -1)
    return Kept(tokens, tokens.new_ones(batch, length, dtype=torch.bool), index)


def readout(vit: Any, valid: Tensor, pooling: str | None = None) -> Tensor:
    """Weight of each token in the vector that the head reads, (B, P + n).

    The class token, or the mean over the patches; rows sum to 1 unless there is nothing to read.

    Args:
        vit: The network.
        valid: (B, P + n) bool, False at padding.
        pooling: `token` or `avg`; None: as the network's own head.
    """
    read = valid.clone()
    if (pooling or vit.global_pool) == "token":
        read[:, 1:] = False
    elif pooling or not vit.pool_include_prefix:
        read[:, : vit.num_prefix_tokens] = False
    return read / read.sum(dim=1, keepdim=True).clamp(min=1)


def mean_token(encoded: Tensor, valid: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the tokens, (B, D), padding left out.

    Args:
        encoded: (B, P + n, D).
        valid: (B, P + n) bool, False at padding.
        weights: (B, P + n), from `readout`.
    """
    # not a product: padding may hold NaN where an image has no token at all
    tokens = torch.where(valid[..., None], encoded, torch.zeros_like(encoded))
    return torch.einsum("bn,bnd->bd", weights.to(tokens), tokens)


def pool(vit: Any, encoded: Tensor, valid: Tensor) -> Tensor:
    """The input of the linear head, (B, D), padding left out of an average.

    Where an average is over no patch at all, the head reads a vector of zeros.

    Raises:
        UsageError: If the network pools in a way that cannot leave out padding.
    """
    # the mean over no patches is the 0 of `mean_token`; timm's own would be NaN
    averaged = encoded.shape[1] - (0 if vit.pool_include_prefix else vit.num_prefix_tokens)
    if vit.global_pool == "token" or (averaged and bool(valid.all())):
        pooled: Tensor = vit.forward_head(encoded, pre_logits=True)
        return pooled
    if vit.global_pool != "avg":
        raise UsageError(
            f'a network with pooling "{vit.global_pool}" cannot run on some of its patches',
            choices=["token", "avg"],
        )
    mean = mean_token(encoded, valid, readout(vit, valid))
    features: Tensor = vit.head_drop(vit.fc_norm(mean))
    return features
