"""A timm ViT whose attention is weighted by a float mask, so that a gradient reaches the mask.

In every block and head, with attention probabilities p_j over all keys,

    out = sum_j m_j p_j v_j / sum_j m_j p_j .

For a mask of zeros and ones this is attention over the keys with m_j = 1 alone, as when the
others are dropped; but d out / d m_j is defined at the others too, unlike with a bias log m.
Both sums come from one call of fused attention, which therefore never stores the probabilities.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.models.timm_import import import_timm

_TINY = 1e-12
#: Columns for the denominator; fused kernels want head sizes in multiples of 8.
_COLUMNS = 8


def encode_weighted(vit: Any, tokens: Tensor, weights: Tensor) -> Tensor:
    """Transformer blocks and final norm with weighted keys, (B, P + N, D).

    Args:
        vit: A timm `VisionTransformer` of ordinary blocks.
        tokens: (B, P + N, D), embedded.
        weights: (B, P + N) mask of the keys, 1 for prefix tokens.

    Raises:
        UsageError: If the network has other blocks.
    """
    _check_blocks(vit)
    for block in vit.blocks:
        attended = _attend(block.attn, block.norm1(tokens), weights)
        tokens = tokens + block.drop_path1(block.ls1(attended))
        tokens = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
    encoded: Tensor = vit.norm(tokens)
    return encoded


def _attend(attn: Any, tokens: Tensor, weights: Tensor) -> Tensor:
    """One attention layer, (B, N, D) -> (B, N, D)."""
    batch, length, _ = tokens.shape
    qkv = attn.qkv(tokens).reshape(batch, length, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)  # (B, heads, N, d)
    q, k = attn.q_norm(q), attn.k_norm(k)
    ones = torch.ones_like(v[..., :_COLUMNS])
    weighted = torch.cat([v, ones], dim=-1) * weights[:, None, :, None].to(v)
    # dropout of attention probabilities is left out: it would hit both sums alike
    sums = F.scaled_dot_product_attention(q, k, weighted, scale=attn.scale)
    sums = sums.to(torch.promote_types(sums.dtype, torch.float32))
    numerator, denominator = sums[..., : v.shape[-1]], sums[..., -1:]
    # nothing to attend to (no prefix tokens, empty mask): the output is 0
    denominator = torch.where(denominator > _TINY, denominator, torch.ones_like(denominator))
    mixed = (numerator / denominator).to(v).transpose(1, 2).reshape(batch, length, -1)
    out: Tensor = attn.proj_drop(attn.proj(attn.norm(mixed)))
    return out


def _check_blocks(vit: Any) -> None:
    timm = import_timm()
    block_type = timm.models.vision_transformer.Block
    for block in vit.blocks:
        ordinary = type(block) is block_type and type(block.attn) is timm.layers.Attention
        if not ordinary or getattr(block.attn, "gate", None) is not None:
            raise UsageError(
                f"blocks of type {type(block).__name__} cannot weight their attention",
                choices=["detached", "soft"],
                next_step="choose another mask_gradient",
            )
