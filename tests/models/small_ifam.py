"""Tiny two-stage models of every shape, and the published forward pass written out plainly."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.models.base import DataConfig
from ifambench.models.ifam import Ifam, Predictor, Selector
from ifambench.models.vit import micro_vit

CLASSES = 3
PARTS = 4

#: Backbones that differ in everything a ViT here may differ in.
BACKBONES: dict[str, dict[str, Any]] = {
    "registers": {"reg_tokens": 4, "no_embed_class": True, "init_values": 0.5},
    "class-position": {},
    "registers-with-position": {"reg_tokens": 4},
    "pre-norm": {"pre_norm": True, "patch_size": 16, "img_size": 64},
    "patch-14": {"patch_size": 14, "img_size": 56, "no_embed_class": True},
    "averaged-head": {"global_pool": "avg"},
    "normed-queries": {"qk_norm": True, "qkv_bias": False},
}


def tiny_vit(side: int = 32, **options: Any) -> Any:
    side = options.pop("img_size", side)
    sizes = {"num_classes": 0, "embed_dim": 128, "depth": 2, "num_heads": 2}
    return micro_vit(side, **(sizes | options))


def tiny_ifam(
    num_parts: int = PARTS,
    classes: int = CLASSES,
    mask_gradient: str = "detached",
    seed: int = 0,
    temperature: float = 1.0,
    **options: Any,
) -> Ifam:
    """A model whose masks keep some patches and drop others."""
    torch.manual_seed(seed)
    stage_1 = Selector(tiny_vit(**options), num_parts, classes, temperature=temperature)
    model = Ifam(
        stage_1,
        Predictor(tiny_vit(**options), classes),
        DataConfig(stage_1.vit.patch_embed.img_size[0]),
        mask_part_dropout=0.3,
        mask_gradient=mask_gradient,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "fc_landmarks" not in name:
                parameter.normal_(std=0.15)
        stage_1.fc_landmarks.weight.normal_(std=0.3)
        balance(model)
    return model.eval()


def balance(model: Ifam) -> None:
    """Move the background prototype so that about half of the patches are background."""
    tokens = model.stage_1.tokens(some_images(model, 8))
    scores = model.stage_1.scores(tokens)
    lead = (scores[:, :-1].amax(1) - scores[:, -1]).median()
    weight = model.stage_1.fc_landmarks.weight[-1, :, 0, 0]
    # |f - c a|^2 grows by (c^2 - 1) |a|^2 - 2 (c - 1) f a: near c = 1 a shift for all patches
    mean = tokens.mean((0, 2, 3))
    direction = mean / mean.norm()
    weight += direction * lead / (2 * (direction @ (mean - weight))).clamp_min(1e-3)


def some_images(model: Ifam, n: int = 5, seed: int = 1) -> Tensor:
    side = model.data_config.image_size
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def published_state(model: Ifam) -> dict[str, Tensor]:
    """The tensors under the names of the published snapshots."""
    state = {k.replace(".vit.", "."): v.clone() for k, v in model.state_dict().items()}
    prefix = model.stage_2.vit.num_prefix_tokens
    return state | {"stage_2.prefix_attn_mask": torch.ones(1, prefix)}


def plain_vit(state: dict[str, Tensor], stage: str, images: Tensor, heads: int, key_bias: Tensor):
    """Final tokens (B, P + N, D) of a stage from published tensors; `key_bias` is (B, P + N)."""
    s = {k.removeprefix(stage): v for k, v in state.items() if k.startswith(stage)}
    x = F.conv2d(
        images,
        s["patch_embed.proj.weight"],
        s.get("patch_embed.proj.bias"),
        stride=s["patch_embed.proj.weight"].shape[-1],
    )
    x = x.flatten(2).transpose(1, 2)
    prefix = [s[name].expand(len(x), -1, -1) for name in ("cls_token", "reg_token") if name in s]
    if s["pos_embed"].shape[1] == x.shape[1]:
        x = torch.cat([*prefix, x + s["pos_embed"]], 1)
    else:
        x = torch.cat([*prefix, x], 1) + s["pos_embed"]
    dim = x.shape[-1]

    def norm(name: str, y: Tensor) -> Tensor:
        return F.layer_norm(y, (y.shape[-1],), s[f"{name}.weight"], s[f"{name}.bias"], eps=1e-6)

    def linear(name: str, y: Tensor) -> Tensor:
        return F.linear(y, s[f"{name}.weight"], s.get(f"{name}.bias"))

    if "norm_pre.weight" in s:
        x = norm("norm_pre", x)
    for i in range(1 + max(int(k.split(".")[1]) for k in s if k.startswith("blocks."))):
        b = f"blocks.{i}"
        qkv = linear(f"{b}.attn.qkv", norm(f"{b}.norm1", x))
        q, k, v = qkv.reshape(*qkv.shape[:2], 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        if f"{b}.attn.q_norm.weight" in s:
            q, k = norm(f"{b}.attn.q_norm", q), norm(f"{b}.attn.k_norm", k)
        scores = q @ k.transpose(-2, -1) * (dim // heads) ** -0.5 + key_bias[:, None, None]
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + linear(f"{b}.attn.proj", y) * s.get(f"{b}.ls1.gamma", torch.ones(()))
        y = linear(f"{b}.mlp.fc2", F.gelu(linear(f"{b}.mlp.fc1", norm(f"{b}.norm2", x))))
        x = x + y * s.get(f"{b}.ls2.gamma", torch.ones(()))
    return norm("norm", x)


def published_forward(
    state: dict[str, Tensor], images: Tensor, heads: int, removed: tuple[int, ...] = ()
) -> dict[str, Tensor]:
    """What the published code computes at evaluation with the Gumbel noise at zero."""
    patch = state["stage_1.patch_embed.proj.weight"].shape[-1]
    side, batch = images.shape[-1] // patch, len(images)
    prefix = state["stage_2.prefix_attn_mask"].shape[1]
    visible = images.new_zeros(batch, prefix + side * side)
    tokens = plain_vit(state, "stage_1.", images, heads, visible)[:, prefix:]
    f = tokens.transpose(1, 2).reshape(batch, -1, side, side)
    a = state["stage_1.fc_landmarks.weight"][:, :, 0, 0]
    z = torch.stack([-(f - p[None, :, None, None]).square().sum(1) for p in a], 1)
    maps = z.softmax(1)
    pooled = torch.stack([(maps[:, k : k + 1] * f).mean((2, 3)) for k in range(len(a))], -1)
    weight, bias = state["stage_1.modulation.weight"], state["stage_1.modulation.bias"]
    features = F.layer_norm(pooled, weight.shape, weight, bias)
    part_logits = torch.einsum(
        "cd,bdk->bck", state["stage_1.fc_class_landmarks.weight"], features[..., :-1]
    )
    mask = maps.argmax(1) != len(a) - 1
    for part in removed:
        mask &= maps.argmax(1) != part
    soft = maps[:, :-1].amax(1)
    found = {"maps": maps, "features": features, "part_logits": part_logits, "mask": mask}
    biases = {"logits": mask.to(images).log(), "soft_logits": (soft + 1e-10).log()}
    for name, patch_bias in biases.items():
        key_bias = torch.cat([images.new_zeros(batch, prefix), patch_bias.flatten(1)], 1)
        read = plain_vit(state, "stage_2.", images, heads, key_bias)[:, 0]
        read = F.layer_norm(
            read, read.shape[-1:], state["stage_2.fc_norm.weight"], state["stage_2.fc_norm.bias"]
        )
        found[name] = read @ state["stage_2.head.weight"].T
    return found
