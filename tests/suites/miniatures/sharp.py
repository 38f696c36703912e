"""JPEG files that keep the colours of a small picture nearly as they are."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import NDArray
from PIL import Image


def save_jpeg(path: Path, pixels: NDArray) -> None:
    """Write a picture or a mask as JPEG, whatever the case of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG", quality=100, subsampling=0)
