"""Layouts of weights files: which model the tensors are of, and the sizes that their shapes tell.

Known layouts, after wrappers (`module.`, `_orig_mod.`) are stripped:

- ours: `stage_1.vit.*`, `stage_2.vit.*` (iFAM), `vit.*` (one network);
- published iFAM (timm): `stage_1.*`, `stage_2.*` without `vit.`;
- published iFAM (Hugging Face DINOv2, RAD-DINO): `stage_1.embeddings.*`, `stage_1.encoder.*`;
- published PDiscoFormer: stage 1 alone, without prefix;
- timm: one `VisionTransformer` with its head.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ifambench.errors import EnvironmentProblem

Tensors = dict[str, Tensor]

#: Tensors of stage 1 and 2 that are not part of their ViT.
_OWN = re.compile(r"(fc_landmarks|modulation|fc_class_landmarks|fc_norm|head)\.")
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.)+")
_HF_NAMES = (
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.register_tokens", "reg_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("encoder.layer.", "blocks."),
    (".attention.output.dense.", ".attn.proj."),
    (".layer_scale1.lambda1", ".ls1.gamma"),
    (".layer_scale2.lambda1", ".ls2.gamma"),
    ("layernorm.", "norm."),
)
#: Read together with the query, or for pretraining only.
_HF_WITHOUT_PLACE = ("attention.attention.key.", "attention.attention.value.", "mask_token")
_HEAD = 64
#: Channels of published ViTs whose heads are wider or narrower: so400m, huge, giant, gigantic.
_OTHER_HEADS = (1152, 1280, 1408, 1664)


def our_layout(tensors: Tensors) -> Tensors:
    """The tensors under the names that our models give them: `stage_1.vit.*`, `vit.*`, ..."""
    found = {_WRAPPERS.sub("", name): tensor for name, tensor in tensors.items()}
    found.pop("stage_2.prefix_attn_mask", None)  # a constant of the published code
    if any(name.startswith(("stage_1.", "stage_2.")) for name in found):
        stages = [_stage(found, prefix) for prefix in ("stage_1.", "stage_2.")]
        rest = {k: v for k, v in found.items() if not k.startswith(("stage_1.", "stage_2."))}
        return stages[0] | stages[1] | rest
    if "fc_landmarks.weight" in found:
        return _stage({f"stage_1.{name}": tensor for name, tensor in found.items()}, "stage_1.")
    if any(name.startswith("vit.") for name in found):
        return found
    network = _from_hugging_face(found) if is_hugging_face(found) else found
    return {f"vit.{name}": tensor for name, tensor in network.items()}


def is_hugging_face(tensors: Tensors) -> bool:
    """Whether the ViTs are those of `transformers`; published for RAD-DINO only."""
    return any("embeddings.patch_embeddings." in name for name in tensors)


def under(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose name starts with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def vit_options(tensors: Tensors, config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Options of timm's `VisionTransformer` that fit the tensors of one network.

    Args:
        tensors: By timm's names.
        config: What a configuration file beside the weights says: `num_heads`,
            `no_embed_class` and `global_pool` are not in the shapes.
        where: The file, for errors.

    Raises:
        EnvironmentProblem: If the tensors are of no vision transformer.
    """
    patches = tensors.get("patch_embed.proj.weight")
    if (
        patches is None
        or patches.ndim != 4
        or 0 in patches.shape
        or "blocks.0.attn.qkv.weight" not in tensors
    ):
        raise EnvironmentProblem(
            "the weights are of no vision transformer that is known here",
            where=where,
            next_step="give a two-stage model, or a timm ViT with its head",
        )
    dim, _, patch, _ = patches.shape
    prefix_tokens = ("cls_token" in tensors) + _length(tensors, "reg_token")
    side, no_embed_class = _grid(tensors, prefix_tokens, config, where)
    blocks = [re.match(r"blocks\.(\d+)\.", name) for name in tensors]
    return {
        "img_size": side * patch,
        "patch_size": patch,
        "embed_dim": dim,
        "depth": 1 + max(int(block.group(1)) for block in blocks if block),
        "num_heads": _heads(tensors, config, dim, where),
        "mlp_ratio": _hidden(tensors, where) / dim,
        "class_token": "cls_token" in tensors,
        "reg_tokens": _length(tensors, "reg_token"),
        "no_embed_class": no_embed_class,
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
        "qk_norm": "blocks.0.attn.q_norm.weight" in tensors,
        "init_values": 1e-5 if "blocks.0.ls1.gamma" in tensors else None,
        "pre_norm": "norm_pre.weight" in tensors,
        "global_pool": _pooling(tensors, config),
        "fc_norm": "fc_norm.weight" in tensors,
        "num_classes": _length(tensors, "head.weight", axis=0),
    }


def _stage(tensors: Tensors, prefix: str) -> Tensors:
    """One stage: the ViT's tensors move below `vit.`."""
    own = under(tensors, prefix)
    if is_hugging_face(own):
        own = _from_hugging_face(own)
    names = {n: n if n.startswith("vit.") or _OWN.match(n) else f"vit.{n}" for n in own}
    return {f"{prefix}{names[name]}": tensor for name, tensor in own.items()}


def _from_hugging_face(tensors: Tensors) -> Tensors:
    """The names of timm; query, key and value become one tensor."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        if any(part in name for part in _HF_WITHOUT_PLACE):
            continue
        renamed = name
        for theirs, ours in _HF_NAMES:
            renamed = renamed.replace(theirs, ours)
        if ".attention.attention.query." in name:
            keys = [name.replace("query", part) for part in ("query", "key", "value")]
            tensor = torch.cat([tensors[key] for key in keys if key in tensors])
            renamed = renamed.replace(".attention.attention.query.", ".attn.qkv.")
        found[renamed] = tensor
    return _registers_without_position(found)


def _registers_without_position(found: Tensors) -> Tensors:
    """Positions as timm has them beside registers: of patches only.

    `transformers` has a position for the class token and none for registers; it is constant, so it
    becomes part of the class token.
    """
    positions = found.get("pos_embed")
    if positions is None or not {"cls_token", "reg_token"} <= found.keys():
        return found
    own = {"cls_token": found["cls_token"] + positions[:, :1], "pos_embed": positions[:, 1:]}
    return found | own


def _grid(
    tensors: Tensors, prefix_tokens: int, config: Mapping[str, Any], where: str
) -> tuple[int, bool]:
    """Patches per side, and whether positions are of patches only."""
    length = _length(tensors, "pos_embed")
    layouts = {True: length, False: length - prefix_tokens}
    fitting = {
        patches_only: math.isqrt(n)
        for patches_only, n in layouts.items()
        if n > 0 and math.isqrt(n) ** 2 == n
    }
    # both fit for very small grids only
    wanted = bool(config.get("no_embed_class", True))
    for patches_only in (wanted, not wanted):
        if patches_only in fitting:
            return fitting[patches_only], patches_only
    raise EnvironmentProblem(
        f"{length} positions and {prefix_tokens} prefix tokens are of no square image",
        where=f"{where}: pos_embed",
    )


def _length(tensors: Tensors, name: str, axis: int = 1) -> int:
    tensor = tensors.get(name)
    return 0 if tensor is None or tensor.ndim <= axis else tensor.shape[axis]


def _hidden(tensors: Tensors, where: str) -> int:
    hidden = _length(tensors, "blocks.0.mlp.fc1.weight", axis=0)
    if not hidden:
        raise EnvironmentProblem("the weights have no blocks.0.mlp.fc1.weight", where=where)
    return hidden


def _heads(tensors: Tensors, config: Mapping[str, Any], dim: int, where: str) -> int:
    """Attention heads: stated, or of 64 channels as in every published ViT-Ti/S/B/L.

    Tensors do not tell them, and a wrong number gives other logits without an error.
    """
    norm = _length(tensors, "blocks.0.attn.q_norm.weight", axis=0)
    usual = dim // _HEAD if dim % _HEAD == 0 and dim not in _OTHER_HEADS else 0
    heads = config.get("num_heads") or (dim // norm if norm else usual)
    if not isinstance(heads, int) or heads < 1 or dim % heads:
        raise EnvironmentProblem(
            f"the number of attention heads of a ViT with {dim} channels cannot be told",
            where=where,
            next_step='put a config.json with "num_heads" beside the file',
        )
    return heads


def _pooling(tensors: Tensors, config: Mapping[str, Any]) -> str:
    """What the network's own head reads."""
    stated = config.get("global_pool")
    if stated in ("token", "avg"):
        return str(stated)
    averaged = "cls_token" not in tensors or "fc_norm.weight" in tensors
    return "avg" if averaged else "token"
