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
    import pandas as pd
    from PIL.ImageDraw import ImageDraw

    from ifambench.data.manifest import SuiteData

Pixels = NDArray[np.uint8]

MAX_ROWS = 96
"""Rows of a sheet; a group has at least one."""

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
    """The first images of each group of a split, in the order of the suite, with all variants.

    Variants whose images have ids of their own follow in rows of their own. Of more than `MAX_ROWS`
    rows, groups are left out evenly.
    """
    rows = data.manifest[data.manifest["split"] == split]
    originals = data.rows(split)
    unpaired = rows[~rows["id"].isin(originals["id"])]
    groups = [name for name in data.suite.groups.names if name in set(rows["group"])]
    found: list[SheetRow] = []
    for group in _evenly(groups, max(1, MAX_ROWS // per_group)):
        shown = originals[originals["group"] == group]["id"].head(per_group)
        found += [_paired(data, group, rows[rows["id"] == image]) for image in shown]
        for variant, own in unpaired[unpaired["group"] == group].groupby("variant", sort=False):
            for _, one in own.head(per_group).groupby("id", sort=False):
                pictures = {str(variant): data.pixels.images(one)[0]}
                found.append(SheetRow(group, one["id"].iloc[0], pictures))
    return found


def _paired(data: SuiteData, group: str, same: pd.DataFrame) -> SheetRow:
    """An image, its mask, and the variants that it has."""
    order = data.suite.variants_in(str(same["split"].iloc[0]))
    same = same.sort_values("variant", key=lambda names: names.map(order.index), kind="stable")
    pixels = dict(zip(same["variant"], data.pixels.images(same), strict=True))
    outlined = {}
    if same["mask"].iloc[0]:
        mask = data.pixels.masks(same.head(1))[0]
        outlined = {"true mask": _outlined(pixels["original"], mask)}
    pictures = {"original": pixels.pop("original")} | outlined | pixels
    return SheetRow(group, str(same["id"].iloc[0]), pictures)


def _evenly(names: list[str], most: int) -> list[str]:
    """At most that many of the names, evenly spread."""
    if len(names) <= most:
        return names
    return [names[k * len(names) // most] for k in range(most)]


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
        draw.text(
            (_GAP, middle - 18),
            _cut(draw, row.label, _font(_FONT_SIZE + 2)),
            fill=_INK,
            font=_font(_FONT_SIZE + 2),
        )
    draw.text(
        (_GAP, middle + 3),
        _cut(draw, row.detail, _font(_FONT_SIZE - 2)),
        fill=_FAINT,
        font=_font(_FONT_SIZE - 2),
    )


def _cut(draw: ImageDraw, text: str, font: Any) -> str:
    """The text, without its middle where it does not fit before the pictures."""
    room, keep = _LABEL - 2 * _GAP, len(text)
    shown = text
    while draw.textlength(shown, font=font) > room and keep > 2:
        keep -= 1
        shown = f"{text[: keep // 2]}…{text[len(text) - (keep - keep // 2) :]}"
    return shown


def _font(size: int) -> Any:
    """The font of all figures; Pillow's own is too small at some versions."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)
