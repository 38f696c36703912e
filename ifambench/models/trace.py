"""The forward pass of a timm ViT with attention maps and the Grad-CAM layer exposed.

Fused attention stays on. The attention of a block is made from the output of its `qkv` projection,
only when it is asked for, and its gradient from that of what the heads give: with o = A v,

    dy/dA[h, i, j] = < dy/do[h, i], v[h, j] >,

which is exact. So one pass backward to the small tensors o of all blocks gives every gradient, and
no two attention maps need be in memory at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, overload

import torch
from torch import Tensor, nn

from ifambench.models.base import Inside, Trace
from ifambench.models.tokens import Kept, encode, key_bias, readout


def trace_vit(
    vit: Any,
    kept: Kept,
    head: Callable[[Tensor], Tensor],
    pooling: str | None = None,
    linear: nn.Module | None = None,
) -> Trace:
    """Run blocks and head, and keep what explainers ask for.

    Args:
        vit: The network.
        kept: Its input tokens.
        head: From encoded tokens (B, P + n, D) to class logits.
        pooling: What the head reads, `token` or `avg`; None: as the network's own head.
        linear: The layer of the head that makes the logits, if it is one.
    """
    seen = _Seen()
    with _hooks(vit, linear, seen):
        logits = head(encode(vit, kept))

    def score(vectors: Tensor) -> Tensor:
        return head(vit.norm(vectors)[:, None].expand(*kept.valid.shape, -1))

    attention = _Attention([block.attn for block in vit.blocks], seen.qkv, key_bias(kept).detach())
    values = [per_head(block.attn, qkv)[2] for block, qkv in zip(vit.blocks, seen.qkv, strict=True)]
    hidden, given = [kept.tokens, *seen.hidden], seen.read[0] if seen.read else None
    inside = Inside(vit, logits, hidden, seen.heads, values, score, seen.qkv, given, linear)
    read = readout(vit, kept.valid, pooling)
    return Trace(logits, seen.cam[0], attention, kept.index, kept.valid, read, inside)


@dataclass(frozen=True)
class _Seen:
    """What the hooks collect, per block."""

    qkv: list[Tensor] = field(default_factory=list)
    heads: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    cam: list[Tensor] = field(default_factory=list)
    read: list[Tensor] = field(default_factory=list)


@contextmanager
def _hooks(vit: Any, linear: nn.Module | None, seen: _Seen) -> Iterator[None]:
    handles = [vit.blocks[-1].norm1.register_forward_hook(lambda _, __, out: seen.cam.append(out))]
    if linear is not None:
        handles.append(linear.register_forward_pre_hook(lambda _, g: seen.read.append(g[0])))
    for block in vit.blocks:
        attn = block.attn
        handles += [
            attn.qkv.register_forward_hook(lambda _, __, out: seen.qkv.append(out.detach())),
            attn.norm.register_forward_pre_hook(lambda _, given: seen.heads.append(given[0])),
            block.register_forward_hook(lambda _, __, out: seen.hidden.append(out)),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Attention(Sequence[Tensor]):
    """Attention probabilities of each block, (B, heads, N, N), made anew at every access."""

    def __init__(self, modules: list[Any], qkv: list[Tensor], bias: Tensor) -> None:
        self._modules, self._qkv, self._bias = modules, qkv, bias

    def __len__(self) -> int:
        return len(self._qkv)

    @overload
    def __getitem__(self, layer: int) -> Tensor: ...

    @overload
    def __getitem__(self, layer: slice) -> list[Tensor]: ...

    def __getitem__(self, layer: int | slice) -> Tensor | list[Tensor]:
        if isinstance(layer, slice):
            return [self[k] for k in range(*layer.indices(len(self)))]
        return _attention(self._modules[layer], self._qkv[layer], self._bias)


@torch.no_grad()
def _attention(attn: Any, qkv: Tensor, bias: Tensor) -> Tensor:
    """(B, N, 3 D) -> (B, heads, N, N) attention probabilities, padding hidden by the bias."""
    q, k, _ = per_head(attn, qkv)
    q, k = attn.q_norm(q), attn.k_norm(k)
    scores = (q * attn.scale) @ k.transpose(-2, -1) + bias
    return torch.softmax(scores, dim=-1)


def per_head(attn: Any, qkv: Tensor) -> Tensor:
    """(B, N, 3 D) -> queries, keys and values (3, B, heads, N, d)."""
    batch, length, width = qkv.shape
    # the width is spelled out: there may be no token at all
    parts = qkv.reshape(batch, length, 3, attn.num_heads, width // (3 * attn.num_heads))
    return parts.permute(2, 0, 3, 1, 4)
