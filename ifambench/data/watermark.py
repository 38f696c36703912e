"""A translucent watermark over the image: ImageNet-W (Li et al. 2023, arXiv 2212.04825).

White text at 1 % of the width and 40 % of the height, in the geometry of the model, before
normalisation; the size of the letters follows that of the image. The font of the original, Source
Han Serif SC ExtraLight, is not part of this package: it is taken from an installed `imagenet-w`
package, or from `fonts/` in the data folder. Texts in plain ASCII fall back to Pillow's own font.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ifambench.data.files import ByteCache
from ifambench.data.folders import data_root
from ifambench.data.manifest import Pixels
from ifambench.data.rendered import Rendered
from ifambench.data.swap.shapes import Image
from ifambench.errors import EnvironmentProblem
from ifambench.suites.variant import WatermarkVariant

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FONT = "SourceHanSerifSC-ExtraLight.otf"
LETTERS = {224: 36, 384: 62, 512: 82, 518: 84}
"""Image size -> size of the letters; else the size divided by 6.22."""
_LEFT, _TOP = 0.01, 0.4


def watermark_pixels(
    variant: WatermarkVariant,
    originals: pd.DataFrame,
    base: Pixels,
    font: bytes | None,
    cache: ByteCache | None = None,
) -> Rendered:
    """The images of a watermark variant; see `Rendered`."""

    def render(name: str) -> Image:
        return watermarked(base.images(originals.loc[[name]])[0], variant, font)

    return Rendered(variant.id, originals, base, render, cache)


def watermarked(image: Image, variant: WatermarkVariant, font: bytes | None) -> Image:
    """An image with the text over it.

    Args:
        image: (S, S, 3).
        variant: Text and opacity.
        font: A font file's content, or None for Pillow's own font.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    height, width = image.shape[:2]
    opened = Pillow.fromarray(image).convert("RGBA")
    layer = Pillow.new("RGBA", opened.size, (255, 255, 255, 0))
    ImageDraw.Draw(layer).text(
        (_LEFT * width, _TOP * height),
        variant.text,
        fill=(255, 255, 255, round(variant.opacity * 255)),
        font=_font(font, LETTERS.get(width, int(width / 6.22))),
    )
    return np.asarray(Pillow.alpha_composite(opened, layer).convert("RGB"))


def find_font(text: str, data_dir: Path | None = None) -> bytes | None:
    """The content of the font file, or None where Pillow's own font will do.

    Raises:
        EnvironmentProblem: If the text needs the font and it is not on this machine.
    """
    places = [data_root(data_dir) / "fonts" / FONT]
    package = importlib.util.find_spec("imagenet_w")  # finds the package without importing it
    if package is not None and package.submodule_search_locations:
        places.append(Path(package.submodule_search_locations[0]) / "fonts" / FONT)
    for path in places:
        if path.is_file():
            return path.read_bytes()
    if text.isascii():
        return None
    raise EnvironmentProblem(
        f"the font {FONT} of the watermark is not on this machine",
        where="looked for " + ", ".join(map(str, places)),
        next_step=f"pip install imagenet-w, or put {FONT} (SIL Open Font Licence) there",
    )


def _font(content: bytes | None, size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size) if content is None else None
    found = font or ImageFont.truetype(io.BytesIO(content or b""), size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found
