"""Waterbirds as the archive unpacks: a table, folders by species, CUB's masks beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.suites.miniatures.pictures import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    disc,
    picture,
    save,
    write_lines,
)

FOLDER = "waterbird_complete95_forest2water2"
COUNTS = {"train": [6, 2, 1, 4], "val": [2, 2, 1, 1], "test": [3, 3, 2, 2]}
SPECIES = (
    "004.Groove_billed_Ani/Groove_Billed_Ani",
    "001.Black_footed_Albatross/Black_Footed_Albatross",
)
PLACES = ("/b/bamboo_forest/00003975.jpg", "/o/ocean/00004600.jpg")
HEADER = "img_id,img_filename,y,split,place,place_filename"


def cells() -> list[tuple[int, int, int]]:
    """Split, label and place of every picture, in the order of their ids."""
    return [
        (split, *divmod(group, 2))
        for split, counts in enumerate(COUNTS.values())
        for group, n in enumerate(counts)
        for _ in range(n)
    ]


def name(k: int, y: int) -> str:
    """Species and file of picture k, as CUB has them."""
    return f"{SPECIES[y]}_{k:04d}_{7 * k}.jpg"


def write(root: Path) -> Path:
    """The folder of the suite; ids count from 1, and the table is not sorted."""
    folder, lines = root / FOLDER, []
    for k, (split, y, place) in enumerate(cells(), 1):
        lines.append(f"{k},{name(k, y)},{y},{split},{place},{PLACES[place]}")
        save(folder / name(k, y), picture(k, (GREEN, BLUE)[place], (RED, YELLOW)[y]))
        save((folder / "segmentations" / name(k, y)).with_suffix(".png"), soft(k))
    write_lines(folder / "metadata.csv", [HEADER, *lines[::-1]])
    write_lines(folder / "RELEASE_v1.0.txt", [])
    return folder


def soft(k: int) -> np.ndarray:
    """CUB's masks are grey at the rim: above 127 is bird, below is not."""
    inside = disc(k)
    mask = np.where(inside, 255, 0).astype(np.uint8)
    mask[inside & ~np.roll(inside, 2, axis=0)] = 128
    mask[~inside & np.roll(inside, 1, axis=1)] = 127
    return mask
