"""Which tensors are trained with which learning rate and weight decay.

The published recipe of iFAM (AdamW, arXiv 2506.08915), in ratios to the rate of the backbones:

    tensor                                    rate    decay
    tokens and positions of both stages       1       no
    stage 2, matrices                         1       yes
    stage 2, vectors                          1       no
    prototypes                                1e3     no
    modulation                                1e4     no
    class heads of both stages                1e4     yes
    norm before the head of stage 2           1e4     no

    decay = "matrices"
    lr_factors = { prototypes = 1e3, modulation = 1e4, heads = 1e4 }, with lr_stage_1 = lr
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ifambench.train.recipes import Recipe

_KINDS = {
    "cls_token": "tokens",
    "reg_token": "tokens",
    "pos_embed": "tokens",
    "fc_landmarks": "prototypes",
    "modulation": "modulation",
    "fc_class_landmarks": "heads",
    "fc_norm": "heads",
    "head": "heads",
}
_STAGE_1 = ("fc_landmarks", "modulation", "fc_class_landmarks")
_NO_DECAY = ("tokens", "prototypes", "modulation")


def optimizer_groups(model: nn.Module, recipe: Recipe, images: int) -> list[dict[str, Any]]:
    """The trainable tensors in groups of one rate and one decay.

    Args:
        model: Tensors without `requires_grad` are left out.
        recipe: Rates, factors, decay.
        images: Number of training images, for the normalised weight decay.

    Returns:
        Groups for an optimizer: `params`, `weight_decay`, `peak_lr` and `kinds` (for the record).
    """
    decay = recipe.effective_weight_decay(images)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        kind = _kind(name)
        exempt = recipe.decay == "matrices" and (kind in _NO_DECAY or parameter.ndim < 2)
        rate = recipe.peak_lr(_rate(name, recipe)) * recipe.lr_factors.get(kind, 1.0)
        settings = (rate, 0.0 if exempt else decay)
        group = groups.setdefault(
            settings, {"params": [], "peak_lr": rate, "weight_decay": settings[1], "kinds": []}
        )
        group["params"].append(parameter)
        group["kinds"] += [] if kind in group["kinds"] else [kind]
    return list(groups.values())


def _kind(name: str) -> str:
    """tokens, prototypes, modulation, heads or backbone."""
    found = [_KINDS[part] for part in name.split(".") if part in _KINDS]
    return found[0] if found else "backbone"


def _rate(name: str, recipe: Recipe) -> float:
    """Prototypes, modulation and part classifier have a rate of their own."""
    own = any(part in _STAGE_1 for part in name.split("."))
    return recipe.lr_stage_1 if own else recipe.lr
