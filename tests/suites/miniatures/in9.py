"""The backgrounds challenge: one folder per variant and class, masks as arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.suites.miniatures.pictures import BLUE, GREEN, GREY, YELLOW, disc, picture
from tests.suites.miniatures.sharp import save_jpeg

FOLDER = "bg_challenge"
CLASSES = (
    *("00_dog", "01_bird", "02_wheeled vehicle", "03_reptile", "04_carnivore", "05_insect"),
    *("06_musical instrument", "07_primate", "08_fish"),
)
PER_CLASS = 3
GROUNDS = {"mixed_same": BLUE, "mixed_rand": YELLOW, "mixed_next": GREY}
"""What the mixed images of the miniature have behind the disc; the originals have green."""


def write(root: Path) -> Path:
    """The release: eight variants and the masks, 3 images per class."""
    folder = root / FOLDER
    for c, name in enumerate(CLASSES):
        for k in range(PER_CLASS):
            _write_image(folder, name, image(c, k), f"n{c:08d}_{(k + 1) % PER_CLASS:05d}", c + k)
    text = json.dumps({str(k): label_of(k) for k in range(1000)})
    (folder / "in_to_in9.json").write_text(text, encoding="utf-8")
    return folder


def label_of(k: int) -> int:
    """The class of the nine of an ImageNet class, or -1: 370 of them in turn, from the second."""
    return (k - 1) % 9 if 1 <= k <= 370 else -1


def image(c: int, k: int) -> str:
    """The name of image k of class number c."""
    return f"n{c:08d}_{k:05d}"


def _write_image(folder: Path, name: str, own: str, other: str, k: int) -> None:
    def place(variant: str, stem: str) -> Path:
        return folder / variant / "val" / name / f"{stem}.JPEG"

    mask, black = disc(k), (0, 0, 0)
    save_jpeg(place("original", own), picture(k, GREEN))
    for variant, ground in GROUNDS.items():
        save_jpeg(place(variant, f"fg_{own}_bg_{other}"), picture(k, ground))
    save_jpeg(place("only_fg", own), picture(k, black))
    for variant in ("no_fg", "only_bg_b"):
        save_jpeg(place(variant, own), picture(k, GREEN, black))
    save_jpeg(place("only_bg_t", own), picture(k, GREEN, GREEN))
    path = folder / "fg_mask" / "val" / name / f"{own}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, mask.astype(np.uint8))
