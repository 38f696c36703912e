"""T6: does the shape of the mask tell the class?

`silhouette_correct`: stage 2 gets the mask of the image, but not its pixels.

- `constant`: 0 after normalisation in every patch;
- `texture`: patches that the mask of another image shows, in random places; the other image's class
  is drawn first, from all classes, so the texture says nothing of the own one;
- `random_shape`, `random_shape_texture`: the same two with as many random patches as the mask has,
  averaged over draws. What the shape gives is the difference to these, and to the majority class.

`exchange_correct` (`same_class`): the image's own pixels under the mask of another image of its
class, cut to the area of its own mask (the strongest patches of the other's soft foreground). A
mask that only says where the object is must not fit another image.

The probes of mask shapes (what a linear model reads from the mask) are computed from the stored
masks alone, see `metrics`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.controls import cut_masks, random_masks
from ifambench.battery.fills import from_patches, to_patches
from ifambench.battery.masked import strength
from ifambench.battery.part import Found, Part, Value, mean_of, to_mask, to_numpy, where_known
from ifambench.data.draws import Draws
from ifambench.explain.base import stable_hash
from ifambench.models.base import Selection


def silhouettes(part: Part) -> list[Value]:
    """T6: `silhouette_correct` and `exchange_correct`."""
    constant = Found(torch.zeros_like(part.images), np.ones(len(part.ids), np.bool_))
    texture = _texture(part)
    return [
        Value("silhouette_correct", "constant", _with_own_mask(part, constant)),
        Value("silhouette_correct", "texture", _with_own_mask(part, texture)),
        Value("silhouette_correct", "random_shape", _with_random_masks(part, constant)),
        Value("silhouette_correct", "random_shape_texture", _with_random_masks(part, texture)),
        Value("exchange_correct", "same_class", _exchanged(part)),
    ]


def _with_own_mask(part: Part, pixels: Found) -> NDArray[np.float64]:
    logits = part.masked.given(pixels.content, part.own.mask)
    return where_known(part.correct(logits), pixels.known)


def _with_random_masks(part: Part, pixels: Found) -> NDArray[np.float64]:
    found = []
    for draw in range(part.settings.draws):
        masks = random_masks(part.area, part.work.grid, part.ids, part.settings.seed, draw)
        logits = part.masked.given(pixels.content, to_mask(masks, part.images))
        found.append(part.correct(logits))
    return where_known(mean_of(found), pixels.known)


def _exchanged(part: Part) -> NDArray[np.float64]:
    selection, _, known = _partner(part, "same")
    masks = cut_masks(
        to_numpy(selection.mask),
        strength(selection),
        part.area,
        part.ids,
        part.settings.seed,
    )
    return where_known(
        part.correct(part.masked.given(part.images, to_mask(masks, part.images))), known
    )


def _texture(part: Part) -> Found:
    """Images made of the patches that another image's mask shows."""
    selection, images, known = _partner(part, "any_class")
    grid, n = part.work.grid, selection.mask[0].numel()
    source = torch.stack(
        [
            _places(name, mask, n, part.settings.seed)
            for name, mask in zip(part.ids, selection.mask.flatten(1).cpu(), strict=True)
        ]
    ).to(images.device)
    patches = to_patches(images, grid)
    chosen = patches.gather(1, source.view(len(source), n, 1, 1, 1).expand_as(patches))
    return Found(from_patches(chosen, grid), known)


def _places(name: str, mask: Tensor, n: int, seed: int) -> Tensor:
    """Which patch of the other image each place gets, (n,); any where its mask is empty."""
    able = mask.nonzero().flatten() if bool(mask.any()) else torch.arange(n)
    drawn = Draws(stable_hash("battery", "texture", name), seed).uniform(0, len(able), n)
    return able[torch.from_numpy(drawn.astype(np.int64)).clamp(max=len(able) - 1)]


def _partner(part: Part, kind: str) -> tuple[Selection, Tensor, NDArray[np.bool_]]:
    """Masks and pixels of the partners."""
    rows, known = part.partner_rows(kind, part.work.partners)
    batch = part.work.load(rows)
    return part.masked.select(batch.images, batch.masks), batch.images, known
