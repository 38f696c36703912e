"""Spawrious: `spawrious224/<environment>/<location>/<class>/<n>.png`, five pictures each."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import BLUE, GREY, picture, save, write_lines

FOLDER = "spawrious224"
LOCATIONS = ("desert", "jungle", "dirt", "mountain", "snow", "beach")
BREEDS = ("bulldog", "corgi", "dachshund", "labrador")
PER_FOLDER = 5


def write(root: Path) -> Path:
    """The folder with both environments and what systems leave in folders."""
    folder = root / FOLDER
    for environment in "01":
        for location in LOCATIONS:
            for breed in BREEDS:
                below = folder / environment / location / breed
                for k in range(PER_FOLDER):
                    save(below / f"{location}_{breed}_{k}.png", picture(k, GREY, BLUE, side=8))
    write_lines(folder / "0" / "beach" / ".DS_Store", [])
    return folder
