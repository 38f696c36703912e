"""Image files become arrays of the size a model takes, and masks with the same geometry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ifambench.errors import EnvironmentProblem

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

Interpolation = Literal["bilinear", "bicubic"]
CropMode = Literal["center", "squash"]

_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_MOST_PIXELS = 2**28
"""Of a resized image, before it is cropped: a line of 1 x 60,000 would become enormous."""


@dataclass(frozen=True)
class View:
    """How an image file is brought to the model's size.

    The shorter side is resized to `image_size / crop_pct` (antialiased), the centre is cropped:
    timm's evaluation transform, to the pixel, but that the EXIF orientation is applied.

    Attributes:
        image_size: Height and width of the result in pixels.
        crop_pct: Share of the resized shorter side that the crop keeps, in (0, 1].
        interpolation: Of the resize; masks take the nearest pixel.
        crop_mode: `center`, or `squash`: both sides are resized, the aspect ratio is not kept.
    """

    image_size: int
    crop_pct: float = 1.0
    interpolation: Interpolation = "bilinear"
    crop_mode: CropMode = "center"


def read_image(path: Path, view: View) -> NDArray[np.uint8]:
    """An image file as the model sees it, (size, size, 3) uint8 RGB.

    Args:
        path: Any format Pillow reads, of 8 or 16 bits per channel; the EXIF orientation is applied
            and transparency ignored.
        view: Size and crop.

    Raises:
        EnvironmentProblem: If the file is missing or no whole image; names the path.
    """
    with upright(path) as image:
        return viewed(image if image.mode == "RGB" else image.convert("RGB"), view)


def viewed(image: Image, view: View) -> NDArray[np.uint8]:
    """An upright RGB image, not yet resized, as the model sees it, (size, size, 3) uint8."""
    from PIL import Image

    return np.asarray(to_view(image, view, Image.Resampling[view.interpolation.upper()]))


def read_mask(path: Path, view: View, threshold: int = 127) -> NDArray[np.bool_]:
    """A mask file in the geometry of its image, (size, size) bool.

    Args:
        path: Any format Pillow reads.
        view: Size and crop; every pixel takes the nearest one of the file.
        threshold: Brighter pixels (0 to 255) belong to the object.

    Raises:
        EnvironmentProblem: If the file is missing or no whole image; names the path.
    """
    from PIL import Image

    with upright(path) as image:
        fitted = to_view(image.convert("L"), view, Image.Resampling.NEAREST)
        return np.asarray(np.asarray(fitted) > threshold)


def shown_size(image: Image) -> tuple[int, int]:
    """Width and height of an opened image as it is shown, EXIF orientation applied."""
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION) in _LYING else (width, height)


@contextmanager
def explained_failures(path: Path) -> Iterator[None]:
    """Whatever Pillow and the system raise for a bad image file, as an error with its path."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except FileNotFoundError as error:
        raise EnvironmentProblem("the image file is missing", where=str(path)) from error
    except UnidentifiedImageError as error:
        raise _damaged(path, "it is of no known format") from error
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except (Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise _damaged(path, str(error)) from error  # SyntaxError is a broken PNG


@contextmanager
def upright(path: Path) -> Iterator[Image]:
    """An image file in an upright orientation, with 8 bits; it is decoded within the block.

    Raises:
        EnvironmentProblem: If the file is missing or no whole image; names the path.
    """
    from PIL import Image, ImageOps

    with explained_failures(path), Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        yield _eight_bits(image)


def _eight_bits(image: Image) -> Image:
    """Grey levels of 16 bits scaled to 8: Pillow's own conversion would cut them at 255."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its grey levels (Pillow mode {image.mode}) have no fixed range")
    return image


def to_view(image: Image, view: View, method: Resampling) -> Image:
    """Resize and crop, with the roundings of timm and of torchvision's `Resize`, `CenterCrop`.

    Args:
        image: Upright.
        view: Size and crop.
        method: Interpolation of the resize.

    Raises:
        ValueError: If the image is so long and narrow that it would fill the memory.
    """
    size, shorter = view.image_size, min(image.size)
    resized = int(size / view.crop_pct)
    sides = (shorter, shorter) if view.crop_mode == "squash" else image.size
    width, height = (int(resized * side / shorter) for side in sides)
    if width * height > _MOST_PIXELS:
        raise ValueError(f"with {image.size[0]} x {image.size[1]} pixels it is too narrow")
    if (width, height) != image.size:
        image = image.resize((width, height), method)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _damaged(path: Path, detail: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the image file cannot be read: {detail}",
        where=str(path),
        next_step="restore the file from the data's source, or leave out what cannot be read: "
        "ifambench run ... --skip-bad-images",
    )
