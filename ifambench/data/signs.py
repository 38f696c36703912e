"""The objects of `waterdigits`: a real handwritten digit, in dark ink, on an opaque sign.

The digits are scikit-learn's copy of the UCI optical digits (8 x 8, 17 grey levels; Alpaydin and
Kaynak 1998). The sign is a superellipse of random colour, size, place and tilt, fully inside the
image. It is opaque, and it *is* the true foreground mask: without it, background would shine
through every patch that the thin digit covers only in part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifambench.data.draws import Draws

_BORDER = 0.62  # the digit fills the central 62 % of the sign
_MAX_TILT = 0.1  # tan(angle / 2), about 0.2 rad


@dataclass(frozen=True)
class Sign:
    """A rendered object.

    Attributes:
        colour: (side, side, 3) float64 in [0, 1]; valid where `mask`.
        mask: (side, side) bool, True on the sign.
    """

    colour: NDArray[np.float64]
    mask: NDArray[np.bool_]


def sign(
    draws: Draws, digit: NDArray[np.float64], side: int, diameter: tuple[float, float]
) -> Sign:
    """Draw one digit on one sign.

    Args:
        draws: The random stream of this object.
        digit: (8, 8) ink in [0, 1].
        side: Height and width of the image in pixels.
        diameter: Smallest and largest diameter of the sign in pixels.
    """
    radius = draws.one(*diameter) / 2
    u, v = _sign_coordinates(draws, side, radius)
    roundness = draws.one(0.0, 1.0)
    u2, v2 = u * u, v * v
    mask = (1 - roundness) * (u2 * u2 * u2 + v2 * v2 * v2) + roundness * (u2 + v2) <= 1.0
    ink = _sample(digit, v / _BORDER, u / _BORDER)
    ink = np.clip(2.0 * ink - 0.4, 0.0, 1.0)[..., None]
    paper, pen = _bright_colour(draws), draws.uniform(0.0, 0.22, 3)
    grain = draws.uniform(-0.02, 0.02, side * side).reshape(side, side, 1)
    return Sign(colour=paper * (1 - ink) + pen * ink + grain, mask=mask)


def _sign_coordinates(
    draws: Draws, side: int, radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates in the sign's own frame; the sign is |u|, |v| <= 1."""
    t = draws.one(-_MAX_TILT, _MAX_TILT)
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    reach = radius * (cosine + abs(sine)) + 1
    center_y, center_x = draws.uniform(reach, side - reach, 2)
    dy = (np.arange(side) + 0.5 - center_y)[:, None] / radius
    dx = (np.arange(side) + 0.5 - center_x)[None, :] / radius
    return cosine * dx + sine * dy, cosine * dy - sine * dx


def _sample(
    digit: NDArray[np.float64], v: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear reading of the digit at v, u in [-1, 1]; no ink outside."""
    padded = np.pad(digit, 2)
    y = np.clip((v + 1) / 2 * 8 - 0.5 + 2, 0, 10.999)
    x = np.clip((u + 1) / 2 * 8 - 0.5 + 2, 0, 10.999)
    y0, x0 = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    fy, fx = y - y0, x - x0
    top = padded[y0, x0] * (1 - fx) + padded[y0, x0 + 1] * fx
    bottom = padded[y0 + 1, x0] * (1 - fx) + padded[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def _bright_colour(draws: Draws) -> NDArray[np.float64]:
    """A light colour of random hue (HSV with value in [0.8, 1), saturation in [0.1, 0.45))."""
    hue, saturation, value = draws.one(0, 6), draws.one(0.1, 0.45), draws.one(0.8, 1.0)
    distance = np.abs((hue - np.array([0.0, 2.0, 4.0]) + 3) % 6 - 3)
    colour: NDArray[np.float64] = value * (1 - saturation * np.clip(distance - 1, 0.0, 1.0))
    return colour
