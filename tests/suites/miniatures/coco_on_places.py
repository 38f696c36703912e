"""COCO-on-Places: HDF5 files with fractions, channels first; two of them lack the array g."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILES = ("train", "validtest", "valsgtest", "valoodtest", "idtest", "sgtest", "oodtest")
CLASSES, SIDE = 9, 64


def brightness(file: str, k: int) -> float:
    """The grey of image k of a file."""
    return (FILES.index(file) + 1 + k / 100) / 10


def write(root: Path) -> Path:
    """Nine images per file, one per class (training: 18), and the anomalies without labels."""
    import h5py

    folder = root / "cocoplaces_vf_9_0.8"
    folder.mkdir()
    for file in FILES:
        labels = np.arange(CLASSES * (2 if file == "train" else 1)) % CLASSES
        grey = np.array([brightness(file, k) for k in range(len(labels))], np.float32)
        with h5py.File(folder / f"{file}.h5py", "w") as arrays:
            arrays["images"] = np.tile(grey[:, None, None, None], (1, 3, SIDE, SIDE))
            arrays["y"] = labels.astype(np.int32)
            if file not in ("sgtest", "oodtest"):
                arrays["g"] = np.zeros(len(labels), np.int32)
    with h5py.File(folder / "anotest.h5py", "w") as arrays:
        arrays["images"] = np.zeros((4, 3, SIDE, SIDE), np.float32)
    return folder
