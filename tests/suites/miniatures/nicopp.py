"""NICO++, track 1: `public_dg_0416/train/<context>/<class>/*.jpg`; names may hold blanks."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import GREEN, RED, picture, save, write_lines

FOLDER = "NICO++/track_1/public_dg_0416"
CELLS = {
    ("autumn", "car"): 8,
    ("autumn", "hot air balloon"): 5,
    ("dim", "fishing_rod"): 4,
    ("water", "car"): 1,
}


def write(root: Path) -> Path:
    """The folder, with the photos without labels that come with it."""
    folder = root / FOLDER
    for (context, name), n in CELLS.items():
        for k in range(n):
            save(
                folder / "train" / context / name / f"{context}_{k:06d}.jpg", picture(k, GREEN, RED)
            )
    save(folder / "public_test_flat" / "0.jpg", picture(0, GREEN, RED))
    write_lines(folder.parent / "dg_label_id_mapping.json", ["{}"])
    return folder
