"""The embedded suite: real handwritten digits on signs, on land or water.

The label is a property of the digit; the place is the spurious attribute: in `train` it agrees
with the label for 95 % of the images, in `val` and `test` it is independent of it. Digits and
textures are disjoint between splits. Everything follows from the suite's seed; the pixels are
identical on every machine (a fingerprint in the suite file is checked).

Variants of an image share its object, bit for bit (after Xiao et al. 2021, arXiv 2006.09994):

- `mixed_same`: new background, of the place that goes with the *label* in `train`;
- `mixed_rand`: new background, of a place drawn uniformly;
- `only_fg`: the object on black; `only_bg`: the background alone; `no_fg`: a black hole in the
  shape of the object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifambench.data.draws import Draws
from ifambench.data.signs import Sign, sign
from ifambench.data.textures import TextureParams, texture

PLACES = ("land", "water")
SPLITS = ("pretrain", "train", "val", "test")
VARIANTS = ("original", "mixed_same", "mixed_rand", "only_fg", "only_bg", "no_fg")

_DIGIT_SHARE = {"pretrain": 0.30, "train": 0.35, "val": 0.15, "test": 0.20}
_OBJECT, _BACKGROUND, _SWAP_SAME, _SWAP_RAND, _DIGITS, _TEXTURES = range(6)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class WaterdigitsParams:
    """What `[generation.params]` of the suite file sets.

    Attributes:
        digits: For each class, the digits that belong to it.
        correlation: Share of training images whose place agrees with the label.
        side: Height and width in pixels.
        diameter: Smallest and largest diameter of the sign in pixels.
        textures_per_place: Textures per place and split.
        texture: Strength of the place cue.
    """

    digits: tuple[tuple[int, ...], ...] = ((0,), (1,))
    correlation: float = 0.95
    side: int = 64
    diameter: tuple[float, float] = (30.0, 42.0)
    textures_per_place: int = 48
    texture: TextureParams = field(default_factory=TextureParams)


class Background(NamedTuple):
    """A background and the texture it was cut from."""

    pixels: Image
    """(side, side, 3) uint8."""
    source: str
    """Split, place and number of the texture."""


class Rendered(NamedTuple):
    """One image in all its variants."""

    variants: dict[str, Image]
    mask: NDArray[np.bool_]
    glyph: str
    """Digit and number of the handwritten glyph."""
    backgrounds: dict[str, str]
    """Texture behind each variant; empty where there is none."""


def assign(params: WaterdigitsParams, split: str, n: int) -> list[tuple[int, int]]:
    """Label and place code of the `n` images of a split.

    The counts are exact: classes are equally frequent, and `correlation` (in `train`) or half
    (elsewhere) of each class stands before its own place.
    """
    classes = len(params.digits)
    share = params.correlation if split == "train" else 1.0 / len(PLACES)
    pairs = []
    for index in range(n):
        y, rank = index % classes, index // classes
        own_place = rank < round(share * len(range(y, n, classes)))
        pairs.append((y, _own_place(y) if own_place else 1 - _own_place(y)))
    return pairs


def render(
    seed: int, params: WaterdigitsParams, split: str, index: int, y: int, place: int
) -> Rendered:
    """One image of a split in all its variants."""
    glyphs = [(digit, k) for digit in params.digits[y] for k in _glyph_numbers(seed, split, digit)]
    draws = Draws(seed, SPLITS.index(split), _OBJECT, index)
    digit, number = glyphs[draws.integer(len(glyphs))]
    drawn = sign(draws, _glyphs(digit)[number], params.side, params.diameter)
    own, same, rand = _backgrounds(seed, params, split, index, y, place)
    black = np.zeros_like(own.pixels)
    variants = {
        "original": _paste(drawn, own.pixels),
        "mixed_same": _paste(drawn, same.pixels),
        "mixed_rand": _paste(drawn, rand.pixels),
        "only_fg": _paste(drawn, black),
        "only_bg": own.pixels,
        "no_fg": np.where(drawn.mask[..., None], black, own.pixels),
    }
    sources = {name: own.source for name in ("original", "only_bg", "no_fg")}
    sources |= {"mixed_same": same.source, "mixed_rand": rand.source, "only_fg": ""}
    return Rendered(variants, drawn.mask, f"{digit}/{number}", sources)


def pretraining_images(seed: int, params: WaterdigitsParams, n: int) -> Image:
    """Unlabelled images for self-supervised pretraining, (n, side, side, 3) uint8.

    All ten digits on both places, independent of each other, with digits and textures that no
    other split has.
    """
    everything = WaterdigitsParams(**{**vars(params), "digits": (tuple(range(10)),)})
    images = [
        render(seed, everything, "pretrain", index, 0, index % 2).variants["original"]
        for index in range(n)
    ]
    return np.stack(images)


def _own_place(y: int) -> int:
    return y % len(PLACES)


def _backgrounds(
    seed: int, params: WaterdigitsParams, split: str, index: int, y: int, place: int
) -> tuple[Background, Background, Background]:
    """The image's own background, one of the label's place, one of a random place."""
    random_place = Draws(seed, SPLITS.index(split), _SWAP_RAND, index, 1).integer(len(PLACES))
    wanted = ((_BACKGROUND, place), (_SWAP_SAME, _own_place(y)), (_SWAP_RAND, random_place))
    own, same, rand = (_background(seed, params, split, index, s, p) for s, p in wanted)
    return own, same, rand


def _background(
    seed: int, params: WaterdigitsParams, split: str, index: int, stream: int, place: int
) -> Background:
    """A random crop of a random texture, mirrored and lit at random."""
    draws = Draws(seed, SPLITS.index(split), stream, index)
    number = draws.integer(params.textures_per_place)
    source = _texture(seed, SPLITS.index(split), place, number, params.side, params.texture)
    top, left = draws.integer(params.side // 2 + 1), draws.integer(params.side // 2 + 1)
    crop = source[top : top + params.side, left : left + params.side]
    crop = crop[:, ::-1] if draws.integer(2) else crop
    return Background(_to_uint8(crop * draws.one(0.75, 1.25)), f"{split}/{PLACES[place]}/{number}")


def _paste(drawn: Sign, background: Image) -> Image:
    return np.where(drawn.mask[..., None], _to_uint8(drawn.colour), background)


def _to_uint8(image: NDArray[np.float64]) -> Image:
    return np.floor(np.clip(image, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


@cache
def _texture(
    seed: int, split: int, place: int, number: int, side: int, params: TextureParams
) -> NDArray[np.float64]:
    draws = Draws(seed, split, _TEXTURES, place, number)
    return texture(draws, PLACES[place], side + side // 2, params)


@cache
def _glyphs(digit: int) -> NDArray[np.float64]:
    """All handwritten glyphs of a digit, (n, 8, 8) ink in [0, 1]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    found: NDArray[np.float64] = data.images[data.target == digit] / 16.0
    return found


@cache
def _glyph_numbers(seed: int, split: str, digit: int) -> tuple[int, ...]:
    """Which glyphs of a digit belong to a split; splits share none."""
    n = len(_glyphs(digit))
    order = Draws(seed, _DIGITS, digit).permutation(n)
    ends = [0, *np.cumsum(list(_DIGIT_SHARE.values()))]
    position = SPLITS.index(split)
    start, stop = (round(float(ends[k]) * n) for k in (position, position + 1))
    return tuple(int(k) for k in order[start:stop])
