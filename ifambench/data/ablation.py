"""A region of the image altered: the object, its box, or the background.

The evaluations of Hard ImageNet and RIVAL10 (Moayeri et al. 2022), in the geometry of the model,
before normalisation. `grey` is 128 of 255. `noise` is Gaussian, of `sigma` per pixel and channel on
the scale [0, 1], added and clipped ("l-infinity noise" there), drawn from `PCG64(seed, id)`. `tile`
is the fill of our background swaps (`swap/fills.py`: the largest full strip beside the box); the
original takes box-sized neighbours of each connected component, so its numbers are not the same.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.draws import Draws
from ifambench.data.files import ByteCache
from ifambench.data.manifest import Pixels
from ifambench.data.rendered import Rendered, original
from ifambench.data.swap.fills import without_object
from ifambench.data.swap.shapes import Image, Mask, bounding_box
from ifambench.suites.variant import AblationVariant

GREY = 128


def ablation_pixels(
    variant: AblationVariant, originals: pd.DataFrame, base: Pixels, cache: ByteCache | None = None
) -> Rendered:
    """The images of an ablation variant; see `Rendered`."""

    def render(name: str) -> Image:
        return ablated(*original(originals, base, name), variant, name)

    return Rendered(variant.id, originals, base, render, cache)


def ablated(image: Image, mask: Mask, variant: AblationVariant, name: str) -> Image:
    """An image with a region replaced.

    Args:
        image: (S, S, 3).
        mask: (S, S), the object; without any the object and the box are empty.
        variant: Region and replacement.
        name: Id of the image, from which noise is drawn.
    """
    where = region(mask, variant.region)
    if variant.replace == "noise":
        noise = gaussian(image.shape, variant.seed, name) * (variant.sigma * 255)
        return np.rint(image + noise * where[..., None]).clip(0, 255).astype(np.uint8)
    other = np.full_like(image, GREY)
    if variant.replace == "tile" and where.any():
        other = without_object(image, bounding_box(where), "tile")
    return np.where(where[..., None], other, image)


def region(mask: Mask, name: str) -> Mask:
    """The pixels of `object`, `box` or `background`."""
    if name == "background":
        return ~mask
    if name == "object" or not mask.any():
        return mask
    box = np.zeros_like(mask)
    box[bounding_box(mask).slices] = True
    return box


def gaussian(shape: tuple[int, ...], seed: int, name: str) -> NDArray[np.float64]:
    """Standard normal numbers that depend on seed and id only (Box and Muller)."""
    n = int(np.prod(shape))
    draws = Draws(seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    radius = np.sqrt(-2 * np.log(1 - draws.uniform(0.0, 1.0, n)))
    found: NDArray[np.float64] = radius * np.cos(2 * np.pi * draws.uniform(0.0, 1.0, n))
    return found.reshape(shape)
