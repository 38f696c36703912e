"""One image and its mask, decoded whole: can they be read, do they fit, what do they look like?"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ifambench.data.hdf5 import hdf5_image, is_hdf5
from ifambench.data.images import View, explained_failures
from ifambench.data.masks import RLE, mask_size, read_mask
from ifambench.errors import EnvironmentProblem
from ifambench.suites.source import Hdf5, Source

if TYPE_CHECKING:
    from PIL.Image import Image

_LEAST_CONTRAST = 8
"""Grey levels between the darkest and brightest cell; flat pictures all look alike."""


@dataclass(frozen=True)
class Examined:
    """What is known of an image file.

    Attributes:
        path: Within the suite's folder.
        digest: sha256 of the file, "" when it cannot be read.
        look: Difference hash of 64 bits; None without contrast.
        problems: Kind, file and detail of everything wrong.
    """

    path: str
    digest: str
    look: int | None
    problems: tuple[tuple[str, str, str], ...]


def examined(folder: Path, path: str, mask: str, source: Source) -> Examined:
    """Decode an image and its mask.

    Args:
        folder: The suite's folder.
        path: The image in it.
        mask: Its mask as in the manifest, "" for none.
        source: Says how masks are read.
    """
    try:
        digest, image = _read(folder, path, source)
    except EnvironmentProblem as error:
        return Examined(path, "", None, (("unreadable", path, error.what),))
    problems = _mask_problems(folder, path, mask, image.size, source) if mask else ()
    return Examined(path, digest, difference_hash(image), problems)


def difference_hash(image: Image) -> int | None:
    """Signs of the horizontal steps of a 9 x 8 grey picture as 64 bits; None without contrast."""
    from PIL import Image

    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    if cells.max() - cells.min() < _LEAST_CONTRAST:
        return None
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


def _read(folder: Path, path: str, source: Source) -> tuple[str, Image]:
    """sha256 and the decoded image, upright."""
    from PIL import Image, ImageOps

    if is_hdf5(path):
        key = source.image_key if isinstance(source, Hdf5) else "images"
        image = hdf5_image(folder, path, key)
        return hashlib.sha256(image.tobytes()).hexdigest(), image
    with explained_failures(folder / path):
        content = (folder / path).read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    return hashlib.sha256(content).hexdigest(), image


def _mask_problems(
    folder: Path, path: str, mask: str, size: tuple[int, int], source: Source
) -> tuple[tuple[str, str, str], ...]:
    name = f"run lengths of {path}" if mask.startswith(RLE) else mask
    try:
        width, height = mask_size(folder, mask, source)
        # Both sides are stretched to the longer one, so that no pixel is left out.
        pixels = read_mask(folder, mask, View(max(width, height), crop_mode="squash"), source)
    except EnvironmentProblem as error:
        return (("unreadable", name, error.what),)
    if (width, height) != size:
        detail = f"{width} x {height} pixels, its image {path} has {size[0]} x {size[1]}"
        return (("mask", name, detail),)
    if pixels.all():
        return (("mask", name, "it covers the whole image"),)
    if not pixels.any() and not mask.startswith(RLE):  # run lengths may say that nothing is there
        return (("mask", name, "it is empty"),)
    return ()
