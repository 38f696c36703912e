"""FunnyBirds: pictures with an alpha channel, coloured part maps, pictures without parts."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.suites.miniatures.pictures import BLUE, GREEN, RED, SIDE, picture, save, write_lines

PARTS = ("beak", "eye", "foot", "tail", "wing")
COLOURS = (
    *((255, 255, 253), (255, 255, 254), (255, 255, 0), (255, 0, 1), (255, 0, 2)),
    *((0, 255, 1), (0, 255, 2), (0, 0, 255)),
)
"""Of the part maps: eyes, beak, feet, wings, tail."""
CLASSES = (0, 7, 49)


def part_map() -> NDArray[np.uint8]:
    """A column of each colour."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., 3] = 255
    for column, colour in enumerate(COLOURS):
        pixels[:, 2 * column, :3] = colour
    return pixels


def write(root: Path) -> Path:
    """Three classes with four training pictures and one test picture each."""
    folder = root / "FunnyBirds"
    for place, number in enumerate(CLASSES):
        for k in range(4 * place, 4 * place + 4):
            _write_picture(folder, "train", number, k)
        _write_picture(folder, "test", number, place)
        _write_interventions(folder / "test_interventions" / str(number) / f"{place:06d}", place)
    for name in ("classes", "parts", "dataset_train", "dataset_test"):
        write_lines(folder / f"{name}.json", ["[]"])
    return folder


def _with_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def _write_picture(folder: Path, split: str, number: int, k: int) -> None:
    name = f"{number}/{k:06d}.png"
    save(folder / split / name, _with_alpha(picture(k, GREEN)))
    save(folder / f"{split}_part_map" / name, part_map())


def _write_interventions(folder: Path, k: int) -> None:
    """All subsets of the parts, and the scene without one of its other things."""
    for size in range(len(PARTS) + 1):
        for kept in combinations(PARTS, size):
            colour = (200 - 30 * (len(PARTS) - size), *RED[1:])
            save(folder / f"body_{'_'.join(kept)}.png", _with_alpha(picture(k, GREEN, colour)))
    save(folder / "background_interventions" / "0.png", _with_alpha(picture(k, BLUE)))
