"""An object on a photo of a place, at the size of the object's image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ifambench.data.images import upright

if TYPE_CHECKING:
    from PIL.Image import Image


def composed(
    image: NDArray[np.uint8], alpha: NDArray[np.float64], place: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """`image * alpha + place * (1 - alpha)`, rounded once; (H, W, 3).

    Where alpha is 1 the pixels are those of the image, bit for bit.
    """
    opaque = alpha[..., None]
    return np.rint(image * opaque + place * (1 - opaque)).astype(np.uint8)


def fitted_photo(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photo cropped at its centre to the aspect of `size` (width, height), then resized to it."""
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(rgb(path), size, Image.Resampling.LANCZOS))


def rgb(path: Path) -> Image:
    """An image file, upright and in RGB.

    Raises:
        EnvironmentProblem: If it is missing or damaged.
    """
    with upright(path) as image:
        return image.convert("RGB")
