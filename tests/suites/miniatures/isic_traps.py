"""ISIC trap sets: tables with a nameless first column, validation photos in training too."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import GREY, disc, picture, save, write_lines

ARTEFACTS = ("dark_corner", "hair", "gel_border", "gel_bubble", "ruler", "ink", "patches", "vasc")
TRAIN, VAL, TEST = range(8), (2, 3), range(8, 14)
HEADER = f",image,{','.join(ARTEFACTS)},label,label_string"


def is_malignant(k: int) -> bool:
    """Every third photo."""
    return k % 3 == 2


def write(root: Path, seed: int = 1) -> Path:
    """The folder of one split, with photos and masks."""
    folder = root / "isic-traps"
    for split, numbers in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        lines = [HEADER, *(_line(k) for k in numbers)]
        write_lines(folder / "trap-sets" / f"isic_annotated_{split}{seed}.csv", lines)
    for k in (*TRAIN, *TEST):
        save(folder / "images" / f"ISIC_{k:07d}.png", picture(k, GREY))
        masks = folder / "ISIC2018_Task1_Training_GroundTruth"
        save(masks / f"ISIC_{k:07d}_segmentation.png", 255 * disc(k).astype("uint8"))
    return folder


def _line(k: int) -> str:
    there = ",".join(str(int(column == k % len(ARTEFACTS))) for column in range(len(ARTEFACTS)))
    sick = is_malignant(k)
    return f"{k},ISIC_{k:07d}.png,{there},{int(sick)},{'malignant' if sick else 'benign'}"
