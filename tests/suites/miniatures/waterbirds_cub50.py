"""waterbirds-cub50: a table with further columns, images, masks, natural photos, other places."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures import waterbirds
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
from tests.suites.miniatures.waterbirds import cells, name

FOLDER = "waterbirds_cub50"
FURTHER = "place_filename_official,place_filename_used,width,height,fg_frac,mask_conf"
IN_CONTEXT = 2
"""Every second test bird has a natural photo."""


def write(root: Path) -> Path:
    """The folder of the suite."""
    folder, lines = root / FOLDER, []
    for k, (split, y, place) in enumerate(cells(), 1):
        file, colour = name(k, y), (RED, YELLOW)[y]
        used = ("train/forest/1.jpg", "valid/sea/2.jpg")[place]
        lines.append(
            f"{k},{file},{y},{split},{place},{waterbirds.PLACES[place]},{used},32,32,0.2,0.9"
        )
        save(folder / "images" / file, picture(k, (GREEN, BLUE)[place], colour))
        save((folder / "masks" / file).with_suffix(".png"), disc(k))
        if split == 2 and k % IN_CONTEXT == 0:
            save(folder / "original_context_test" / file, picture(k, GREY, colour))
    write_lines(folder / "metadata.csv", ["img_id,img_filename,y,split,place," + FURTHER, *lines])
    for category, ground in (("forest", GREEN), ("sea", BLUE)):
        for k in range(3):
            path = folder / "places_heldout" / category / f"train_{category}_{k}.jpg"
            save(path, picture(k, ground, ground))
    return folder
