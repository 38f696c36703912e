"""A contact sheet of a suite: some images of each group, with true mask and variants."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ifambench.reports.gallery import outline

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    from ifambench.data.manifest import SuiteData

Pixels = NDArray[np.uint8]

_CELL = 112
_GAP = 8
_HEADER = 26
_LABEL = 190
_FONT_SIZE = 14
_INK, _FAINT, _PAPER = (34, 34, 34), (120, 120, 120), (255, 255, 255)
_OUTLINE = np.array([255, 221, 51], dtype=np.uint8)


@dataclass(frozen=True)
class SheetRow:
    """One image in all its variants.

    Attributes:
        label: What stands before the row.
        detail: A second, smaller line.
        pictures: Column heading -> (H, W, 3) pixels.
    """

    label: str
    detail: str
    pictures: Mapping[str, Pixels]


def sheet_rows(data: SuiteData, split: str, per_group: int) -> list[SheetRow]:
    """The first images of each group of a split, in the order of the suite."""
    originals = data.rows(split)
    rows = data.manifest[data.manifest["split"] == split]
    declared = data.suite.protocol[data.suite.default_protocol].variants
    present = sorted(set(rows["variant"]))
    variants = list(dict.fromkeys(["original", *(name for name in declared if name in present)]))
    found = []
    for group in data.suite.groups.names:
        for image in originals[originals["group"] == group]["id"].head(per_group):
            same = rows[rows["id"] == image].set_index("variant", drop=False).loc[variants]
            pixels = dict(zip(variants, data.pixels.images(same), strict=True))
            outlined = {}
            if same["mask"].iloc[0]:
                mask = data.pixels.masks(same.head(1))[0]
                outlined = {"true mask": _outlined(pixels["original"], mask)}
            pictures = {"original": pixels.pop("original")} | outlined | pixels
            found.append(SheetRow(group, image, pictures))
    return found


def contact_sheet(rows: Sequence[SheetRow]) -> bytes:
    """The rows as a PNG, one column per picture."""
    from PIL import Image, ImageDraw

    names = list(dict.fromkeys(name for row in rows for name in row.pictures))
    width = _LABEL + len(names) * (_CELL + _GAP) + _GAP
    height = _HEADER + len(rows) * (_CELL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        _centred(draw, name, _left(column) + _CELL // 2)
    for index, row in enumerate(rows):
        top = _HEADER + index * (_CELL + _GAP)
        repeated = index > 0 and rows[index - 1].label == row.label
        _labels(draw, row, top, repeated)
        for column, name in enumerate(names):
            if name in row.pictures:
                picture = Image.fromarray(row.pictures[name])
                sheet.paste(_fitted(picture), (_left(column), top))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _left(column: int) -> int:
    return _LABEL + column * (_CELL + _GAP)


def _fitted(picture: Any) -> Any:
    """The picture in a cell, small ones enlarged without smoothing."""
    from PIL import Image

    smooth = max(picture.size) > _CELL
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return picture.resize((_CELL, _CELL), method)


def _outlined(image: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    factor = max(1, _CELL // max(mask.shape))
    shown = image.repeat(factor, axis=0).repeat(factor, axis=1)
    shown[outline(mask.repeat(factor, axis=0).repeat(factor, axis=1))] = _OUTLINE
    return shown


def _centred(draw: ImageDraw, text: str, middle: int) -> None:
    font = _font(_FONT_SIZE)
    draw.text((middle - draw.textlength(text, font=font) / 2, 5), text, fill=_INK, font=font)


def _labels(draw: ImageDraw, row: SheetRow, top: int, repeated: bool) -> None:
    """Group and id of a row; the group only where it begins."""
    middle = top + _CELL // 2
    if not repeated:
        draw.text((_GAP, middle - 18), row.label, fill=_INK, font=_font(_FONT_SIZE + 2))
    draw.text((_GAP, middle + 3), row.detail, fill=_FAINT, font=_font(_FONT_SIZE - 2))


def _font(size: int) -> Any:
    """The font of all figures; Pillow's own is too small at some versions."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)
