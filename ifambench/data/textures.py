"""Land and water textures: anisotropic value noise in colour.

A texture is a sum of octaves of smoothly interpolated lattice noise (Perlin 1985's value-noise
variant). The two places differ in orientation and, weakly, in mean colour; `gap` scales the colour
difference, so that a single patch says little about the place while the whole picture says much.

Only additions, multiplications and divisions of float64 are used: they are exactly rounded on
every machine, so the uint8 pixels are identical everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifambench.data.draws import Draws

FloatImage = NDArray[np.float64]

_MEAN = {"land": (0.36, 0.39, 0.28), "water": (0.25, 0.37, 0.47)}
_CELL = {"land": (1.3, 0.9), "water": (0.9, 1.5)}  # stretch of the lattice in y and x
_OCTAVES = (16.0, 8.0, 4.0, 2.0)
_AMPLITUDE = (0.38, 0.35, 0.34, 0.25)


@dataclass(frozen=True)
class TextureParams:
    """How strongly a texture tells its place.

    Attributes:
        gap: 0 = both places have the same mean colour, 1 = green-brown against blue.
        colour_noise: Half-width of the random shift of each colour channel.
        contrast: Scale of the luminance noise.
    """

    gap: float = 0.3
    colour_noise: float = 0.1
    contrast: float = 0.3


def texture(draws: Draws, place: str, side: int, params: TextureParams) -> FloatImage:
    """One texture of a place.

    Args:
        draws: The random stream of this texture.
        place: `land` or `water`.
        side: Height and width in pixels.
        params: Strength of the place cue.

    Returns:
        (side, side, 3) float64, roughly in [0, 1].
    """
    noise = np.zeros((side, side))
    for cell, amplitude in zip(_OCTAVES, _AMPLITUDE, strict=True):
        stretch_y, stretch_x = _CELL[place]
        noise += amplitude * _value_noise(draws, side, cell * stretch_y, cell * stretch_x)
    shift = draws.uniform(-params.colour_noise, params.colour_noise, 3)
    tint = draws.uniform(0.8, 1.2, 3)
    return _mean_colour(place, params.gap) + shift + params.contrast * noise[..., None] * tint


def _mean_colour(place: str, gap: float) -> FloatImage:
    own, land, water = (np.array(_MEAN[name]) for name in (place, "land", "water"))
    middle = (land + water) / 2
    mean: FloatImage = middle + gap * (own - middle)
    return mean


def _value_noise(draws: Draws, side: int, cell_y: float, cell_x: float) -> FloatImage:
    """Lattice noise in [-1, 1], interpolated with the smoothstep polynomial."""
    y, fy = _lattice_position(draws, side, cell_y)
    x, fx = _lattice_position(draws, side, cell_x)
    rows, columns = int(y[-1]) + 2, int(x[-1]) + 2
    lattice = draws.uniform(-1.0, 1.0, rows * columns).reshape(rows, columns)
    top = lattice[y][:, x] * (1 - fx) + lattice[y][:, x + 1] * fx
    bottom = lattice[y + 1][:, x] * (1 - fx) + lattice[y + 1][:, x + 1] * fx
    return top * (1 - fy[:, None]) + bottom * fy[:, None]


def _lattice_position(
    draws: Draws, side: int, cell: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    position = (np.arange(side) + 0.5) / cell + draws.one(0.0, 1.0)
    whole = np.floor(position)
    part = position - whole
    return whole.astype(np.int64), part * part * (3 - 2 * part)
