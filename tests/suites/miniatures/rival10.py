"""RIVAL10: photos, merged masks, attribute arrays and pickles side by side in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.suites.miniatures.pictures import GREEN, disc, picture
from tests.suites.miniatures.sharp import save_jpeg

CLASSES = {
    "truck": ("n03796401", "n04467665"),
    "car": ("n02814533", "n03100240"),
    "plane": ("n02690373", "n04552348"),
    "ship": ("n03673027", "n03095699"),
    "cat": ("n02123394", "n02124075"),
    "dog": ("n02099712", "n02099601"),
    "equine": ("n02389026", "n02391049"),
    "deer": ("n02423022", "n02422699"),
    "frog": ("n01644900", "n01644373"),
    "bird": ("n01531178", "n01532829"),
}
"""Label -> WordNet ids: of its two ImageNet classes."""


def write(root: Path) -> Path:
    """Two photos of each ImageNet class for training, one for the test."""
    folder = root / "RIVAL10"
    for k, wnid in enumerate(wnid for wnids in CLASSES.values() for wnid in wnids):
        _write_photo(folder / "test" / "ordinary", f"{wnid}_ILSVRC2012_val_{k:08d}", k)
        for number in (1, 2):
            _write_photo(folder / "train" / "ordinary", f"{wnid}_{wnid}_{number}", k + number)
        _write_photo(folder / "train" / "superimposed", f"{wnid}_{wnid}_1", k)
    return folder


def _write_photo(folder: Path, stem: str, k: int) -> None:
    save_jpeg(folder / f"{stem}.JPEG", picture(k, GREEN))
    mask = 255 * disc(k).astype("uint8")
    save_jpeg(folder / f"{stem}_merged_mask.JPEG", np.dstack([mask] * 3))
    np.save(folder / f"{stem}_attr_labels.npy", np.zeros((2, 18)))
    (folder / f"{stem}_attr_dict.pkl").write_bytes(b"never read")
