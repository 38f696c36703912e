"""T10: which stage carries what? One stage of a two-stage model is randomised, the other kept.

Every tensor of the stage is drawn anew from a normal distribution with the tensor's own mean and
standard deviation, in the order of the parameters from one seed, so activations keep their scale
and what was learned is gone (the idea of Adebayo et al. 2018, arXiv 1810.03292).

`correct`, `mask_iou` with the mask of the model as it is, and `area`; conditions `original`,
`stage_1`, `stage_2`, and `stage_1_same_area`: a random stage 1 may select any number of patches, so
here it selects as many as the model itself, the strongest of its soft foreground.

A random stage 1 should bring the mask to chance and the accuracy to that of random masks; a random
stage 2 must leave the mask alone and bring the accuracy to chance. If a random stage 1 keeps the
accuracy at the same area, the mask does not matter.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from ifambench.battery.controls import cut_masks, overlap
from ifambench.battery.masked import strength
from ifambench.battery.part import Part, Value, to_mask, to_numpy
from ifambench.battery.work import Work
from ifambench.explain.base import stable_hash
from ifambench.models.base import Classifier, Selection
from ifambench.models.label_map import Mapped

STAGES = ("stage_1", "stage_2")


def has_stages(model: Classifier) -> bool:
    """Whether the model has two networks that can be randomised apart."""
    return all(isinstance(getattr(model.unmapped, name, None), nn.Module) for name in STAGES)


def randomised_stages(part: Part) -> list[Value]:
    """T10: `correct`, `mask_iou`, `area`."""
    found = [
        Value("correct", "original", part.correct(part.logits)),
        Value("area", "original", part.own_mask.mean(axis=(1, 2))),
    ]
    for stage in STAGES:
        found += _without(part, stage)
    return found


def randomised(model: Classifier, stage: str, seed: int) -> Classifier:
    """The model with one stage randomised; the other is shared, the model itself stays as it is."""
    inner = model.unmapped
    changed = copy.copy(inner)
    changed._modules = dict(inner._modules)
    changed._modules[stage] = _drawn_anew(getattr(inner, stage), stable_hash(stage, seed))
    return changed if model.label_map is None else Mapped(changed, model.label_map)


def _without(part: Part, stage: str) -> list[Value]:
    with part.masked.sibling(_kept(part.work, stage)) as other:
        selection = other.select(part.images, part.batch.masks)
        found = _described(part, stage, other.under(part.images, selection), selection.mask)
        if stage == "stage_1":
            mask = _same_area(part, selection)
            logits = other.given(part.images, mask)
            found += _described(part, f"{stage}_same_area", logits, mask)
    return found


def _described(part: Part, condition: str, logits: Tensor, keep: Tensor) -> list[Value]:
    mask = to_numpy(keep)
    return [
        Value("correct", condition, part.correct(logits)),
        Value("mask_iou", condition, overlap(part.own_mask, mask)),
        Value("area", condition, mask.mean(axis=(1, 2))),
    ]


def _same_area(part: Part, selection: Selection) -> Tensor:
    """As many patches as the model's own mask has, the strongest of another soft foreground."""
    everything = np.ones(part.own_mask.shape, dtype=np.bool_)
    mask = cut_masks(everything, strength(selection), part.area, part.ids, part.settings.seed)
    return to_mask(mask, part.images)


def _kept(work: Work, stage: str) -> Classifier:
    """The randomised model; made once for all parts."""
    if stage not in work.randomised:
        work.randomised[stage] = randomised(work.masked.model, stage, work.settings.seed)
    return work.randomised[stage]


@torch.no_grad()
def _drawn_anew(stage: nn.Module, seed: int) -> nn.Module:
    found = copy.deepcopy(stage)
    generator = torch.Generator().manual_seed(seed)
    for tensor in found.parameters():
        drawn = torch.randn(tensor.shape, generator=generator).to(tensor)
        spread = tensor.std() if tensor.numel() > 1 else tensor.new_zeros(())
        tensor.copy_(tensor.mean() + spread * drawn)
    return found
