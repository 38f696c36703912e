"""Which ViTs relevance can be propagated through by published rules.

Layer-wise relevance propagation needs a rule for every layer. Those of Chefer, Gur and Wolf (CVPR
2021, https://arxiv.org/abs/2012.09838) cover the first ViTs: blocks of attention and a GELU network
behind LayerNorms, added to their input, and a linear head that reads the class token. There is none
for LayerScale, for norms on queries, keys or inside a branch, for gates, and for average pooling.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ifambench.models.timm_import import import_timm

RELPROP = frozenset({"relprop"})
"""The capability."""


def relprop_of(vit: Any, pooling: str) -> frozenset[str]:
    """The capability, where every layer of the network has a rule, else nothing.

    Args:
        vit: A timm `VisionTransformer`.
        pooling: What its head reads, `token` or `avg`.
    """
    read = [layer for layer in (vit.norm, vit.fc_norm) if not isinstance(layer, nn.Identity)]
    norms = all(isinstance(layer, nn.LayerNorm) for layer in read)
    able = pooling == "token" and norms and all(_has_rules(block) for block in vit.blocks)
    return RELPROP if able else frozenset()


def _has_rules(block: Any) -> bool:
    timm = import_timm()
    kinds = timm.models.vision_transformer
    attn, mlp = block.attn, block.mlp
    if (type(block), type(attn), type(mlp)) != (kinds.Block, kinds.Attention, timm.layers.Mlp):
        return False
    absent = (attn.q_norm, attn.k_norm, attn.norm, mlp.norm, block.ls1, block.ls2)
    return (
        all(isinstance(layer, nn.Identity) for layer in absent)
        and getattr(attn, "gate", None) is None
        and isinstance(mlp.act, nn.GELU | nn.ReLU)
        and all(isinstance(norm, nn.LayerNorm) for norm in (block.norm1, block.norm2))
    )
