"""The archive of DISC: folders such as `cat(sofa)`, and sets of dogs that are not of the suite."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import GREY, RED, YELLOW, picture, save

FOLDER = "MetaDatasetCatDog"
SETS = {
    "train/cat/cat(sofa)": 3,
    "train/cat/cat(bed)": 4,
    "train/dog/dog(bench)": 2,
    "train/dog/dog(bike)": 5,
    "train/dog/dog(boat)": 2,
    "train/dog/dog(surfboard)": 2,
    "test/cat/cat(shelf)": 7,
    "test/dog/dog(shelf)": 13,
}


def write(root: Path) -> Path:
    """The folder; file names are numbers of Visual Genome."""
    folder = root / FOLDER
    for place, (path, n) in enumerate(SETS.items()):
        for k in range(n):
            file = folder / path / f"{2317000 + 37 * place + k}.jpg"
            save(file, picture(k, GREY, YELLOW if "cat" in path else RED))
    return folder
