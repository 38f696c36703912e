"""The same objects on other backgrounds, for T3 and T4.

- `mean`, `noise`: the true object, pixel for pixel, on a fill of `fills.py`;
- `other_same`, `other_rand`: on the background of another image of its class, or of another class
  (the class drawn first). The other object is taken out first (`data/swap`, fill `tile`), so it is
  not in the picture;
- variants of the suite that change the background and leave the object where it is.

An image without a true mask, without a partner, or without a row of the variant has none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.battery.part import Part, to_mask
from ifambench.battery.work import Work
from ifambench.data.swap.compose import Style, background, paste
from ifambench.models.base import Selection

RENDERED = ("mean", "noise", "other_same", "other_rand")


class Swapped(NamedTuple):
    """Images with another background."""

    images: Tensor
    """(B, 3, H, W); the originals where not known."""
    known: NDArray[np.bool_]
    """(B,)."""
    selection: Selection
    """M of these images."""


def conditions(work: Work) -> list[str]:
    """The backgrounds that can be put behind at least one of the images."""
    return [*RENDERED, *work.variants] if work.has_mask.any() else []


def swapped(part: Part, condition: str) -> Swapped:
    """The images of a part under a condition; made once."""
    if condition not in part.kept:
        images, known = _images(part, condition)
        true_masks = part.batch.masks  # the object stays where it is
        part.kept[condition] = Swapped(images, known, part.masked.select(images, true_masks))
    found: Swapped = part.kept[condition]
    return found


def _images(part: Part, condition: str) -> tuple[Tensor, NDArray[np.bool_]]:
    if condition in ("mean", "noise"):
        images, known = _on_fill(part, condition), part.has_mask
    elif condition in RENDERED:
        images, known = _on_other(part, condition.removeprefix("other_"))
    else:
        images, known = _of_variant(part, condition)
    keep = torch.tensor(known, device=images.device).view(-1, 1, 1, 1)
    return torch.where(keep, images, part.images), known


def _on_fill(part: Part, name: str) -> Tensor:
    inside = to_mask(part.objects[:, None], part.images)
    return torch.where(inside, part.images, part.fill(name).content)


def _on_other(part: Part, kind: str) -> tuple[Tensor, NDArray[np.bool_]]:
    rows, known = part.partner_rows(kind, part.work.backgrounds)
    known = known & part.has_mask
    pixels = part.work.data.pixels
    if not known.any():
        return part.images, known
    behind, masks = pixels.images(rows[known]), pixels.masks(rows[known])
    own = pixels.images(part.rows[known])
    composed = [
        paste(image, mask, background(other, hole, Style()), Style())
        for image, mask, other, hole in zip(own, part.objects[known], behind, masks, strict=True)
    ]
    return _placed(part, np.stack(composed), known), known


def _of_variant(part: Part, name: str) -> tuple[Tensor, NDArray[np.bool_]]:
    """Images of a variant whose object is exactly where that of the original is."""
    rows, pixels = part.work.variants[name], part.work.data.pixels
    known = part.has_mask & np.isin(part.ids, rows.index)
    if not known.any():
        return part.images, known
    chosen = rows.loc[list(np.array(part.ids)[known])].reset_index(drop=True)
    images = _placed(part, pixels.images(chosen), known)
    known[known] = (pixels.masks(chosen) == part.objects[known]).all(axis=(1, 2))
    return images, known


def _placed(part: Part, pixels: NDArray[np.uint8], known: NDArray[np.bool_]) -> Tensor:
    """The images, with others in the known places."""
    found = part.images.clone()
    found[torch.tensor(known, device=found.device)] = part.work.normalise(pixels)
    return found
