"""Small pictures of an object on a background, with the mask of the object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
GREEN, BLUE, GREY = (40, 160, 60), (40, 60, 180), (120, 120, 120)
RED, YELLOW = (200, 40, 40), (220, 200, 40)


def disc(k: int = 0, side: int = SIDE) -> NDArray[np.bool_]:
    """The mask of picture number k: a disc of a fifth of the picture, at one of nine places."""
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    x, y = side / 2 + (k % 3 - 1) * 2, side / 2 + (k // 3 % 3 - 1) * 2
    return np.hypot(across - x, down - y) < side / 4


def picture(
    k: int, ground: tuple[int, int, int], colour: tuple[int, int, int] = RED, side: int = SIDE
) -> NDArray[np.uint8]:
    """A disc of a colour on a ground, with a little noise of its own."""
    noise = np.random.default_rng(k).integers(0, 12, (side, side, 3), dtype=np.uint8)
    pixels = np.empty((side, side, 3), np.uint8)
    pixels[:] = ground
    pixels[disc(k, side)] = colour
    return pixels + noise


def save(path: Path, pixels: NDArray) -> None:
    """Write a picture or a mask, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, **options)


def write_lines(path: Path, lines: list[str]) -> None:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
