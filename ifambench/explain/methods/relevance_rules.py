"""Rules that send the relevance of a layer's output to its input, for transformer attribution.

As published with Chefer, Gur and Wolf (CVPR 2021, https://arxiv.org/abs/2012.09838): deep Taylor
(alpha = 1, beta = 0) for linear layers without their bias, z-rule for matrix products, halves for
the two factors, and sums whose branches are rescaled to their share of the total. Norms, softmax,
activations and the scale of the scores pass relevance on unchanged. Their code takes one image; the
totals of a sum are those of each image here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ifambench.explain.methods.gradients import split_heads
from ifambench.models.trace import per_head

_TINY = 1e-9


def divided(a: Tensor, b: Tensor) -> Tensor:
    """Quotient of a and b, made stable as published: a / (b + 1e-9), and 0 where b is 0."""
    below = b + _TINY
    below = torch.where(below == 0, _TINY, below)
    return torch.where(b == 0, 0, a / below)


def through_linear(relevance: Tensor, given: Tensor, weight: Tensor) -> Tensor:
    """Of y = W x: the share of x_i in the positive products of y_j."""
    x_plus, x_minus = given.clamp(min=0), given.clamp(max=0)
    w_plus, w_minus = weight.clamp(min=0), weight.clamp(max=0)
    share = divided(relevance, x_plus @ w_plus.T + x_minus @ w_minus.T)
    return x_plus * (share @ w_plus) + x_minus * (share @ w_minus)


def through_product(relevance: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Of y = L R, half to each factor."""
    share = divided(relevance, left @ right)
    of_left = left * (share @ right.transpose(-2, -1))
    of_right = right * (left.transpose(-2, -1) @ share)
    return of_left / 2, of_right / 2


def through_sum(relevance: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Of y = a + b, (B, N, D): each branch gets its share of the image's total."""
    share = divided(relevance, a + b)
    of_a, of_b = a * share, b * share
    sum_a, sum_b = _total(of_a), _total(of_b)
    whole, total = sum_a.abs() + sum_b.abs(), _total(relevance)
    scale_a = divided(divided(sum_a.abs(), whole) * total, sum_a)
    scale_b = divided(divided(sum_b.abs(), whole) * total, sum_b)
    return of_a * scale_a, of_b * scale_b


def through_copy(given: Tensor, *relevances: Tensor) -> Tensor:
    """Of y_1 = y_2 = x: the relevance of all copies, none where x is 0."""
    shares = [divided(relevance, given) for relevance in relevances]
    return given * torch.stack(shares).sum(dim=0)


def _total(values: Tensor) -> Tensor:
    return values.sum(dim=(1, 2), keepdim=True)


class BlockValues(NamedTuple):
    """What a block made of its input."""

    given: Tensor
    """(B, N, D) tokens before the block."""
    qkv: Tensor
    """(B, N, 3 heads d)."""
    attention: Tensor
    """(B, heads, N, N)."""
    heads: Tensor
    """(B, N, heads d)."""


def through_block(block: Any, seen: BlockValues, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Relevance of the tokens before a block (B, N, D) and of its attention (B, heads, N, N)."""
    added = block.attn.proj(seen.heads)
    middle = seen.given + added
    relevance = _through_mlp(block, middle, relevance)
    stayed, went = through_sum(relevance, seen.given, added)
    went, of_attention = _through_attention(block, seen, went)
    return through_copy(seen.given, stayed, went), of_attention


def _through_mlp(block: Any, middle: Tensor, relevance: Tensor) -> Tensor:
    """From the tokens after the block to those between its two branches."""
    mlp, normed = block.mlp, block.norm2(middle)
    active = mlp.act(mlp.fc1(normed))
    stayed, went = through_sum(relevance, middle, mlp.fc2(active))
    went = through_linear(went, active, mlp.fc2.weight)
    went = through_linear(went, normed, mlp.fc1.weight)
    return through_copy(middle, stayed, went)


def _through_attention(block: Any, seen: BlockValues, went: Tensor) -> tuple[Tensor, Tensor]:
    """From the attention branch's output to its input, and the relevance of the attention."""
    attn = block.attn
    q, k, v = per_head(attn, seen.qkv)
    went = split_heads(through_linear(went, seen.heads, attn.proj.weight), v)
    of_attention, of_v = through_product(went, seen.attention, v)
    of_q, of_k = through_product(of_attention, q, k.transpose(-2, -1))
    parts = torch.stack([of_q, of_k.transpose(-2, -1), of_v])  # (3, B, heads, N, d)
    of_qkv = parts.permute(1, 3, 0, 2, 4).flatten(2)
    return through_linear(of_qkv, block.norm1(seen.given), attn.qkv.weight), of_attention
