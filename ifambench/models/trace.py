"""The forward pass of a timm ViT with attention maps and the Grad-CAM layer exposed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ifambench.models.base import Trace
from ifambench.models.tokens import Kept, encode, key_bias, readout


def trace_vit(
    vit: Any, kept: Kept, head: Callable[[Tensor], Tensor], pooling: str | None = None
) -> Trace:
    """Run blocks and head; collect attention of every block and the last block's normed input.

    The attention is read from the `qkv` projection, so fused attention stays on; a hook on
    `attn_drop` would collect nothing.
    """
    attention: list[Tensor] = []
    cam: list[Tensor] = []
    with _hooks(vit, kept, attention, cam):
        logits = head(encode(vit, kept))
    read = readout(vit, kept.valid, pooling)
    return Trace(logits, cam[0], attention, kept.index, kept.valid, read)


@contextmanager
def _hooks(vit: Any, kept: Kept, attention: list[Tensor], cam: list[Tensor]) -> Iterator[None]:
    bias = key_bias(kept)

    def read_attention(block: Any) -> Any:
        return lambda _, __, qkv: attention.append(_attention(block.attn, qkv, bias))

    handles = [b.attn.qkv.register_forward_hook(read_attention(b)) for b in vit.blocks]
    handles.append(vit.blocks[-1].norm1.register_forward_hook(lambda _, __, out: cam.append(out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attention(attn: Any, qkv: Tensor, bias: Tensor) -> Tensor:
    """(B, N, 3 D) -> (B, heads, N, N) attention probabilities, padding hidden by the bias."""
    batch, length, _ = qkv.shape
    q, k, _ = qkv.reshape(batch, length, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k = attn.q_norm(q), attn.k_norm(k)
    scores = (q * attn.scale) @ k.transpose(-2, -1) + bias
    return torch.softmax(scores, dim=-1)
