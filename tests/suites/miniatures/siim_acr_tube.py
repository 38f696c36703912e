"""SIIM-ACR: radiographs, run lengths with the blanks of the original, and a table of tubes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.suites.miniatures.pictures import save, write_lines

SIDE = 1024
TUBES = {
    "1.2.276.0.1": 0,
    "1.2.276.0.2": 1,
    "1.2.276.0.3": 0,
    "1.2.276.0.4": 1,
}
"""The test images; 3 and 4 have the disease, 3 in two places."""
SICK = ("1.2.276.0.3", "1.2.276.0.4", "1.2.276.1.0", "1.2.276.1.2", "1.2.276.1.4")


def box(top: int, left: int) -> NDArray[np.bool_]:
    """A lesion: 200 rows, 60 columns."""
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top : top + 200, left : left + 60] = True
    return mask


def run_lengths(mask: NDArray[np.bool_]) -> str:
    """Gap and length in turn, down the columns."""
    flat = np.concatenate([[0], mask.T.reshape(-1).astype(int), [0]])
    edges = np.flatnonzero(np.diff(flat))
    gaps = np.diff(np.concatenate([[0], edges]))
    return " ".join(map(str, gaps))


def write(root: Path) -> Path:
    """Four test images, one of each cell, and six for training, three of them positive."""
    folder = root / "siim-acr-tube"
    names = [*TUBES, *(f"1.2.276.1.{k}" for k in range(6))]
    lines = ["ImageId, EncodedPixels"]
    for k, name in enumerate(names):
        save(folder / "images" / f"{name}.png", np.full((SIDE, SIDE), 20 * k, np.uint8))
        if name not in SICK:
            lines.append(f"{name}, -1" if k % 2 else f"{name},-1")
            continue
        lines.append(f"{name}, {run_lengths(box(100, 200))}")
        if name == SICK[0]:
            lines.append(f"{name}, {run_lengths(box(600, 700))}")
    write_lines(folder / "train-rle.csv", lines)
    write_lines(folder / "tubes.csv", ["ImageId,tube", *(f"{n},{t}" for n, t in TUBES.items())])
    return folder
