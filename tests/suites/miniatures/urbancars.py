"""UrbanCars: two folders by correlation, eight groups each, a mask of the car and of the object."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from tests.suites.miniatures.pictures import BLUE, GREEN, GREY, RED, disc, picture, save

FOLDER = "urbancars"
COUNTS = {"train": (6, 2, 2, 1), "val": (2, 2, 2, 2), "test": (3, 3, 3, 3)}
"""Pictures by how background and object agree with the car: both, one, the other, none."""


def write(root: Path) -> Path:
    """The folder; the unbiased pictures of training are there too and are not of the suite."""
    folder = root / FOLDER
    for split, counts in COUNTS.items():
        _write_split(folder, "0.95" if split == "train" else "0.5", split, counts)
    _write_split(folder, "0.5", "train", (1, 1, 1, 1))
    _write_split(folder, "0.95", "test", (1, 1, 1, 1))
    return folder


def _write_split(folder: Path, ratio: str, split: str, counts: tuple[int, ...]) -> None:
    below = folder / f"bg-{ratio}_co_occur_obj-{ratio}" / split
    for car, ground, thing in product(("urban", "country"), repeat=3):
        place = below / f"obj-{car}_bg-{ground}_co_occur_obj-{thing}"
        for k in range(counts[2 * (car != ground) + (car != thing)]):
            save(place / f"{k:03d}.jpg", picture(k, GREY if ground == "urban" else GREEN, RED))
            save(place / f"{k:03d}_mask.png", disc(k))
            save(place / f"{k:03d}_co_occur_obj_mask.png", ~disc(k))
            save(place / f"{k:03d}_preview.png", picture(k, BLUE))
