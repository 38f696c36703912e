"""T7 and T8: the mask against others of its size, and as one point of a curve.

T7 gives stage 2 the image under other masks; `correct` is 1 where the label is right, `score` the
probability of the class that the model predicts.

- `own`; `true` (patches whose coverage exceeds the model's `mask_coverage`, of their own area);
- `random` (as many random patches, mean over draws), `center` (the most central ones), `shifted`
  (the mask moved by half the image, around the border): all of equal area;
- `complement`, `all`, `none`.

Specificity is score(own) - mean score(random), necessity score(all) - score(complement).

T8 takes the removal of tokens as the operator, nothing is filled in. With s the probability of the
predicted class and s(x) that of all patches (DeYoung et al. 2020, arXiv 1911.03429):

- `comprehensiveness` = s(x) - s(without the mask), `sufficiency` = s(x) - s(only the mask);
- `srg` = area under insertion minus area under deletion, of the ranking by the odds of foreground
  in which every patch of the mask comes before every other one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.controls import centre_masks, patch_ranks, random_masks, shifted_masks
from ifambench.battery.masked import strength
from ifambench.battery.part import Part, Value, mean_of, to_mask, where_known
from ifambench.explain.curves import step_counts
from ifambench.metrics.deletion import curve_auc


def size_controls(part: Part) -> list[Value]:
    """T7: `correct` and `score`, per mask."""
    own, images, masked = part.own.mask, part.images, part.masked
    grid, seed = part.work.grid, part.settings.seed
    center = centre_masks(part.area, grid, part.ids, seed)
    every = np.ones(len(part.ids), dtype=np.bool_)
    logits = {
        "own": part.logits,
        "center": masked.given(images, to_mask(center, images)),
        "shifted": masked.given(images, to_mask(shifted_masks(part.own_mask), images)),
        "complement": masked.given(images, ~own),
        "all": masked.given(images, torch.ones_like(own)),
        "none": masked.given(images, torch.zeros_like(own)),
    }
    found = [value for name, each in logits.items() for value in _control(part, name, each, every)]
    return [*found, *_true(part), *_random(part)]


def operating_point(part: Part) -> list[Value]:
    """T8: `comprehensiveness`, `sufficiency`, `srg`."""
    fractions, deletion, insertion = _ranking_curves(part)
    without = part.score(part.masked.given(part.images, ~part.own.mask))
    everything = deletion[:, 0]
    return [
        Value("comprehensiveness", "drop", everything - without),
        Value("sufficiency", "drop", everything - part.score(part.logits)),
        Value("srg", "drop", curve_auc(fractions, insertion) - curve_auc(fractions, deletion)),
    ]


def _control(part: Part, condition: str, logits: Tensor, known: NDArray[np.bool_]) -> list[Value]:
    return [
        Value("correct", condition, where_known(part.correct(logits), known)),
        Value("score", condition, where_known(part.score(logits), known)),
    ]


def _true(part: Part) -> list[Value]:
    if not part.has_mask.any():
        return []
    object_patches = part.coverage > part.masked.model.mask_coverage  # NaN is not
    logits = part.masked.given(part.images, to_mask(object_patches, part.images))
    return _control(part, "true", logits, part.has_mask)


def _random(part: Part) -> list[Value]:
    correct, score = [], []
    for draw in range(part.settings.draws):
        masks = random_masks(part.area, part.work.grid, part.ids, part.settings.seed, draw)
        logits = part.masked.given(part.images, to_mask(masks, part.images))
        correct.append(part.correct(logits))
        score.append(part.score(logits))
    return [
        Value("correct", "random", mean_of(correct)),
        Value("score", "random", mean_of(score)),
    ]


def _ranking_curves(
    part: Part,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the patches, and the score without and with only the first ones, (B, S + 1)."""
    values = strength(part.own).reshape(len(part.ids), -1)
    own = part.own_mask.reshape(values.shape)
    ranks = patch_ranks(values, part.ids, part.settings.seed, first=own)
    ranks = ranks.reshape(part.own_mask.shape)
    counts = step_counts(values.shape[1], part.settings.steps)
    deletion = [_kept(part, ranks >= k) for k in counts]
    inner = [_kept(part, ranks < k) for k in counts[1:-1]]
    insertion = [deletion[-1], *inner, deletion[0]]  # the ends are the same inputs
    return counts / counts[-1], np.stack(deletion, axis=1), np.stack(insertion, axis=1)


def _kept(part: Part, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    return part.score(part.masked.given(part.images, to_mask(keep, part.images)))
