"""T1 and T2: given the mask, does anything outside of it reach the prediction?

T1, conditional invariance. With R(x, M, z) the image inside the mask and z outside,

    logit_change = max over logits |g(R(x, M, z), M) - g(x, M)|,    M = M(x) fixed.

It is exactly 0, bit for bit, where patches are dropped: both sides are computed in the same batch.
A logit that is not finite any more counts as the largest float32. `batch_change` is the same
difference between the batch and single images, which is rounding. `gradient` is the largest
|d g_y / d x| of the predicted class outside of the mask.

T2, locality of the patch embedding. One patch is replaced by noise of a hundred times the range;
`token_change` is the largest change of any *other* token before the first block. An embedding with
overlapping patches fails, and then a patch mask does not mean what it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.fills import pixels_of
from ifambench.battery.masked import MaskedModel
from ifambench.battery.part import Part, Value, where_known
from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash
from ifambench.explain.fills import fill_patches
from ifambench.models.tokens import embed

LARGEST = float(torch.finfo(torch.float32).max)
"""The change to a logit that is not a finite number."""


def conditional_invariance(part: Part) -> list[Value]:
    """T1: `logit_change` per fill, `batch_change`, `gradient`."""
    masked, own = part.masked, part.own
    found = []
    for name in part.settings.fills:
        if name == "nan" and not masked.drops:
            continue
        fill, known = part.fill(name)
        logits = masked.under(fill_patches(part.images, own.mask, fill), own)
        found.append(Value("logit_change", name, where_known(_change(logits, part.logits), known)))
    return [
        *found,
        Value("batch_change", "single", _change(_one_by_one(part), part.logits)),
        Value("gradient", "outside", _outside_gradient(part)),
    ]


def embedding_locality(part: Part) -> list[Value]:
    """T2: `token_change`."""
    vit = reading_vit(part.masked)
    h, w = part.work.grid
    seed = part.settings.seed
    places = [Draws(stable_hash("battery", "patch", i), seed).integer(h * w) for i in part.ids]
    own = torch.nn.functional.one_hot(torch.tensor(places), h * w).bool().to(part.images.device)
    altered = fill_patches(part.images, ~own.view(-1, h, w), part.fill("noise100").content)
    moved = (embed(vit, altered) - embed(vit, part.images)).abs().amax(dim=2)  # (B, P + n)
    moved[:, vit.num_prefix_tokens :].masked_fill_(own, 0)
    return [Value("token_change", "noise100", _numbers(moved.amax(dim=1)))]


def reading_vit(masked: MaskedModel) -> Any:
    """The timm ViT that reads the masked image, or None."""
    stage_2 = getattr(masked.inner, "stage_2", masked.inner)
    return getattr(stage_2, "vit", None)


def _one_by_one(part: Part) -> Tensor:
    with part.masked.sibling(batch_size=1) as single:
        return single.under(part.images, part.own)


def _outside_gradient(part: Part) -> NDArray[np.float64]:
    gradient = part.masked.gradient(part.images, part.own, part.target_tensor)
    outside = ~pixels_of(part.own.mask, part.images)
    return _numbers(torch.where(outside, gradient, 0).abs().flatten(1).amax(dim=1))


def _change(logits: Tensor, base: Tensor) -> NDArray[np.float64]:
    return _numbers((logits - base).abs().nan_to_num(LARGEST, LARGEST).amax(dim=1))


def _numbers(values: Tensor) -> NDArray[np.float64]:
    found = values.nan_to_num(LARGEST, LARGEST).detach().cpu().double().numpy()
    return np.asarray(found, dtype=np.float64)
