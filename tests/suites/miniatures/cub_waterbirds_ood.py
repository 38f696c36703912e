"""CUB-200-2011 with its tables, stray files and masks, and the composites beside it."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import BLUE, GREEN, GREY, RED, picture, save, write_lines
from tests.suites.miniatures.waterbirds import soft

FOLDER = "CUB_200_2011"
SPECIES = {
    1: "001.Black_footed_Albatross",
    2: "002.Laysan_Albatross",
    200: "200.Common_Yellowthroat",
}
TRAIN, TEST = 4, 3


def write(root: Path) -> Path:
    """The folder of CUB; the composites, of all photos, are in a folder beside it."""
    folder = root / FOLDER
    rows = [(label, j) for label in SPECIES for j in range(TRAIN + TEST)]
    images, classes, flags = [], [], []
    for k, (label, j) in enumerate(rows, 1):
        file = f"{SPECIES[label]}/{SPECIES[label][4:]}_{k:04d}_{k}.jpg"
        images.append(f"{k} {file}")
        classes.append(f"{k} {label}")
        flags.append(f"{k} {int(j < TRAIN)}")
        save(folder / "images" / file, picture(k, GREY, RED))
        save(
            root / "waterbird_complete95_forest2water2" / file,
            picture(k, (GREEN, BLUE)[k % 2], RED),
        )
        save((folder / "segmentations" / file).with_suffix(".png"), soft(k))
    stray = folder / "images" / SPECIES[1] / "Black_footed_Albatross_0001_1_rgb.jpg"
    save(stray, picture(0, GREY, RED))
    write_lines(folder / "images.txt", images)
    write_lines(folder / "image_class_labels.txt", classes)
    write_lines(folder / "train_test_split.txt", flags)
    write_lines(folder / "classes.txt", [f"{label} {name}" for label, name in SPECIES.items()])
    return folder
