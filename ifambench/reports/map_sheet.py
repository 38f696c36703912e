"""One image with all its relevance maps as one picture.

Maps are scaled to [0, 1] for display only, each by itself; numbers are taken from the maps.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 5
_INCHES = 1.9
_CAPTION = 0.32
_DPI = 110
_DIMMED = 0.22
_BACKGROUND = -1


@dataclass(frozen=True)
class MapSheet:
    """What is shown.

    Attributes:
        title: Above everything.
        pixels: (H, W, 3) uint8, the image as the model sees it.
        maps: Name -> (h, w) relevance.
        binary: Names of the maps that are masks: what they leave out is dimmed.
        captions: A second line below some of the names.
        parts: (h, w) index of the part of each patch, -1 for the background; None without parts.
    """

    title: str
    pixels: NDArray[np.uint8]
    maps: Mapping[str, NDArray[np.float32]]
    binary: frozenset[str] = frozenset()
    captions: Mapping[str, str] = field(default_factory=dict)
    parts: NDArray[np.int64] | None = None


def map_sheet(sheet: MapSheet) -> bytes:
    """The image, each map over it and the parts, as PNG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = 1 + len(sheet.maps) + (sheet.parts is not None)
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        size = (columns * _INCHES, rows * (_INCHES + _CAPTION) + _CAPTION)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(sheet.title, fontsize=9)
        cells = list(figure.subplots(rows, columns, squeeze=False).flat)
        _draw(sheet, cells)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _draw(sheet: MapSheet, cells: list[Axes]) -> None:
    for cell in cells:
        cell.set_axis_off()
    waiting = iter(cells)
    _picture(next(waiting), sheet.pixels, "image")
    for name, relevance in sheet.maps.items():
        cell, caption = next(waiting), sheet.captions.get(name, "")
        title = f"{name}\n{caption}" if caption else name
        if name in sheet.binary:
            keep = _enlarged(relevance > 0, sheet.pixels)[..., None]
            _picture(cell, np.where(keep, sheet.pixels, sheet.pixels * _DIMMED), title)
        else:
            _picture(cell, np.repeat(sheet.pixels.mean(axis=2, keepdims=True), 3, axis=2), title)
            _overlay(cell, relevance, sheet, "inferno", float(relevance.min()))
    if sheet.parts is not None:
        cell = next(waiting)
        _picture(cell, sheet.pixels, "parts")
        parts = np.ma.masked_equal(sheet.parts, _BACKGROUND)
        _overlay(cell, parts, sheet, "tab20", 0.0, highest=19.0)


def _picture(cell: Axes, pixels: NDArray[Any], title: str) -> None:
    cell.imshow(np.clip(pixels, 0, 255).astype(np.uint8))
    cell.set_title(title)


def _overlay(
    cell: Axes,
    values: NDArray[Any],
    sheet: MapSheet,
    colours: str,
    lowest: float,
    highest: float | None = None,
) -> None:
    height, width = sheet.pixels.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    top = float(values.max()) if highest is None else highest
    cell.imshow(
        values,
        cmap=colours,
        vmin=lowest,
        vmax=top if top > lowest else lowest + 1.0,
        alpha=0.6,
        extent=extent,
        interpolation="nearest",
    )


def _enlarged(grid: NDArray[np.bool_], pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A map of patches at the size of the image."""
    rows = np.arange(pixels.shape[0]) * grid.shape[0] // pixels.shape[0]
    columns = np.arange(pixels.shape[1]) * grid.shape[1] // pixels.shape[1]
    return np.asarray(grid[np.ix_(rows, columns)])
