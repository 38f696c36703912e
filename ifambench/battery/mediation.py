"""T3 and T4: what another background does to the prediction and to the mask.

T3 splits the effect of a background x -> x', with M = M(x) and M' = M(x'), into what comes through
the pixels in the mask and what comes through the choice of the mask:

- `free_flip`: the label of g(x', M') differs from that of g(x, M);
- `frozen_flip`: that of g(x', M) does: background in the mask's own patches;
- `mask_only_flip`: that of g(x, M') does: the same image, read through the other mask.

T4 describes the mask: `iou` of M and M', `recall` of the true object and `admission`, the share of
the mask that is not on the object, both in pixels; conditions as in T3, and `original` for x
itself. `area` is the share of patches in the mask. `self_iou` is the most that `iou` can be: two
masks of the same image, from two calls (`repeat`) and, for iFAM, under two draws of the published
Gumbel noise (`gumbel`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.controls import overlap
from ifambench.battery.part import Part, Value, to_numpy, where_known
from ifambench.battery.swaps import conditions, swapped
from ifambench.explain.base import stable_hash
from ifambench.metrics.localization import mask_scores
from ifambench.models.ifam import Ifam
from ifambench.models.masks import gumbel_noise


def mediation(part: Part) -> list[Value]:
    """T3: flips of the label, per background."""
    return [value for name in conditions(part.work) for value in _flips(part, name)]


def stability(part: Part) -> list[Value]:
    """T4: how the mask changes, per background, and how much two masks of one image agree."""
    backgrounds = [value for name in conditions(part.work) for value in _mask_change(part, name)]
    every = np.ones(len(part.ids), dtype=np.bool_)
    return [*_described(part, "original", part.own_mask, every), *backgrounds, *_self_overlap(part)]


def _flips(part: Part, condition: str) -> list[Value]:
    images, known, selection = swapped(part, condition)
    masked = part.masked
    logits = {
        "free_flip": masked.under(images, selection),
        "frozen_flip": masked.under(images, part.own),
        "mask_only_flip": masked.under(part.images, selection),
    }
    return [
        Value(name, condition, where_known(masked.predicted(each) != part.predicted, known))
        for name, each in logits.items()
    ]


def _mask_change(part: Part, condition: str) -> list[Value]:
    _, known, selection = swapped(part, condition)
    mask = to_numpy(selection.mask)
    iou = where_known(overlap(part.own_mask, mask), known)
    return [Value("iou", condition, iou), *_described(part, condition, mask, known)]


def _described(
    part: Part, condition: str, mask: NDArray[np.bool_], known: NDArray[np.bool_]
) -> list[Value]:
    scores = mask_scores(mask, part.coverage)
    return [
        Value("recall", condition, where_known(scores.recall, known)),
        Value("admission", condition, where_known(1 - scores.precision, known)),
        Value("area", condition, where_known(mask.mean(axis=(1, 2)), known)),
    ]


def _self_overlap(part: Part) -> list[Value]:
    again = to_numpy(part.masked.mask(part.images, part.batch.masks))
    found = [Value("self_iou", "repeat", overlap(part.own_mask, again))]
    inner = part.masked.inner
    if isinstance(inner, Ifam) and inner.stage_1.gumbel:
        one, two = (_noisy_mask(part, inner, draw) for draw in range(2))
        found.append(Value("self_iou", "gumbel", overlap(one, two)))
    return found


def _noisy_mask(part: Part, model: Ifam, draw: int) -> NDArray[np.bool_]:
    """The mask under the published evaluation's noise, drawn by image id."""
    found = []
    for start in range(0, len(part.ids), part.settings.batch_size):
        chosen = slice(start, start + part.settings.batch_size)
        tokens = model.stage_1.tokens(part.images[chosen])
        noise = [_noise(part, model, name, draw) for name in part.ids[chosen]]
        found.append(model.select_from(tokens, torch.cat(noise).to(tokens)).mask)
    part.masked.n_forwards += len(part.ids)
    return to_numpy(torch.cat(found))


def _noise(part: Part, model: Ifam, name: str, draw: int) -> Tensor:
    seed = stable_hash("battery", "gumbel", name, part.settings.seed, draw)
    shape = (1, model.stage_1.num_parts + 1, *part.work.grid)
    return gumbel_noise(shape, torch.Generator().manual_seed(seed))
