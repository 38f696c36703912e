"""Oxford-IIIT Pet: lists, trimaps (1 pet, 2 ground, 3 edge), files that are not photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.suites.miniatures.pictures import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    disc,
    picture,
    save,
    write_lines,
)

BREEDS = {
    "Abyssinian": (1, 1),
    "american_bulldog": (2, 2),
    "Maine_Coon": (21, 1),
    "yorkshire_terrier": (37, 2),
}
TRAINVAL, TEST = 5, 3


def write(root: Path) -> Path:
    """The official layout, `oxford-iiit-pet/{images,annotations}`."""
    folder = root / "oxford-iiit-pet"
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    for breed, numbers in BREEDS.items():
        for k in range(1, TRAINVAL + TEST + 1):
            stem = f"{breed}_{100 + k}"
            lists["trainval" if k <= TRAINVAL else "test"].append(
                f"{stem} {numbers[0]} {numbers[1]} 1"
            )
            save(
                folder / "images" / f"{stem}.jpg", picture(k, GREEN, (RED, YELLOW)[numbers[1] - 1])
            )
            save(folder / "annotations" / "trimaps" / f"{stem}.png", trimap(k))
    for name, lines in lists.items():
        write_lines(folder / "annotations" / f"{name}.txt", lines[::-1])
    write_lines(folder / "images" / "Abyssinian_101.mat", ["no photo"])
    write_lines(folder / "annotations" / "trimaps" / "._Abyssinian_101.png", ["no mask"])
    save(folder / "images" / "Abyssinian_999.jpg", picture(9, GREY))
    return folder


def write_table(root: Path) -> Path:
    """A folder of one's own: `labels.csv`, `images/` and `trimaps/`, and photos of places."""
    folder, lines = root / "pets_trimaps", ["file,breed,species,source"]
    for breed, species in (("Abyssinian", "cat"), ("american_bulldog", "dog")):
        for k in range(1, 9):
            lines.append(f"{breed}_{k}.jpg,{breed},{species},sample")
            save(folder / "images" / f"{breed}_{k}.jpg", picture(k, GREEN))
            save(folder / "trimaps" / f"{breed}_{k}.png", trimap(k))
    write_lines(folder / "labels.csv", lines)
    for k, category in enumerate(("mountain", "street")):
        save(root / "places_extra" / category / f"{k}.jpg", picture(k, BLUE, BLUE))
    return folder


def trimap(k: int) -> NDArray[np.uint8]:
    """1 inside the disc, 3 around it, 2 elsewhere."""
    inside = disc(k)
    edge = ~inside & (np.roll(inside, 1, axis=0) | np.roll(inside, -1, axis=0))
    return np.where(inside, 1, np.where(edge, 3, 2)).astype(np.uint8)
