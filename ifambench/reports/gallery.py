"""Example images with their explanations, as small pictures embedded in the page.

Scaling of a relevance map to [0, 1] happens here, for display only: ranks and scores are always
taken from the stored values.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifambench.records.schema import RunRecord
from ifambench.reports.rows import class_name, explainers

Pixels = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]

PER_GROUP = 3
"""Images shown of each group; more would make the page heavy."""

_SIDE, _SMALL_SIDE = 160, 112
"""Pixels of a picture, and where there are many maps of each image."""

_MANY_MAPS = 8
_CASES = {
    "highest, right": "Highest SRG of {}, predicted right",
    "lowest, right": "Lowest SRG of {}, predicted right",
    "highest, wrong": "Highest SRG of {}, predicted wrong",
    "lowest, wrong": "Lowest SRG of {}, predicted wrong",
}
_OUTLINE = np.array([255, 221, 51], dtype=np.uint8)
_DIMMED = 0.22
_MAP, _SWAP = "map:", "swap:"


@dataclass(frozen=True)
class Picture:
    """One embedded picture: its data URI, what it shows, and the words below it."""

    source: str
    alt: str
    caption: str
    wrong: bool = False


@dataclass(frozen=True)
class Sample:
    """One image with everything that is shown of it."""

    id: str
    prediction: str
    wrong: bool
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class GalleryGroup:
    """The examples of one group."""

    name: str
    samples: tuple[Sample, ...]


def gallery_groups(record: RunRecord, gallery: Arrays | None) -> list[GalleryGroup]:
    """The stored examples by group, in the order of the suite."""
    if gallery is None:
        return []
    names = [str(name) for name in gallery["group"]]
    stand_for = gallery.get("in_group", np.ones(len(names), dtype=bool))
    found = []
    for group in dict.fromkeys([*record.groups, *names]):
        indices = [k for k, name in enumerate(names) if name == group and stand_for[k]]
        if indices:
            samples = tuple(_sample(record, gallery, index) for index in indices[:PER_GROUP])
            found.append(GalleryGroup(group, samples))
    return found


def gallery_cases(record: RunRecord, gallery: Arrays | None) -> list[GalleryGroup]:
    """The images that one explainer does best and worst on; none in galleries without them."""
    if gallery is None or "headline" not in gallery:
        return []
    stored = [str(case) for case in gallery["case"]]
    headline = str(gallery["headline"])
    return [
        GalleryGroup(
            title.format(headline),
            tuple(_case(record, gallery, k) for k, name in enumerate(stored) if name == case),
        )
        for case, title in _CASES.items()
        if case in stored
    ]


def _case(record: RunRecord, gallery: Arrays, index: int) -> Sample:
    sample = _sample(record, gallery, index)
    group, gain = str(gallery["group"][index]), float(gallery["srg"][index])
    return replace(sample, prediction=f"{sample.prediction}; {group}; SRG {gain:z.3f}")


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels on both sides of the border of a mask, two pixels wide.

    >>> outline(np.array([[0, 0, 0, 1, 1, 1]], dtype=bool)).astype(int).tolist()
    [[0, 0, 1, 1, 0, 0]]
    """
    edge = np.zeros_like(mask)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def is_selection(relevance: NDArray[Any]) -> bool:
    """Whether the map is a binary mask of patches."""
    return bool(np.isin(relevance, (0, 1)).all())


def _sample(record: RunRecord, gallery: Arrays, index: int) -> Sample:
    identifier = str(gallery["ids"][index])
    y, predicted = int(gallery["y"][index]), int(gallery["y_pred"][index])
    probability = float(gallery["prob_pred"][index])
    words = (
        f"{class_name(record, y)}, predicted {class_name(record, predicted)} ({probability:.2f})"
    )
    base = _display(gallery["images"][index], _side(gallery))
    pictures = [
        _original(gallery, index, base, identifier, words),
        *_map_pictures(record, gallery, index, base, identifier),
        *_swap_pictures(record, gallery, index, identifier),
    ]
    return Sample(identifier, words, y != predicted, tuple(pictures))


def _original(gallery: Arrays, index: int, base: Pixels, identifier: str, words: str) -> Picture:
    shown, caption = base, "image"
    if "masks" in gallery and gallery["masks"][index].any():
        shown = base.copy()
        shown[outline(_enlarged(gallery["masks"][index], base.shape))] = _OUTLINE
        caption = "image, true mask"
    return Picture(_png(shown), f"Image {identifier}: {words}", caption)


def _map_pictures(
    record: RunRecord, gallery: Arrays, index: int, base: Pixels, identifier: str
) -> list[Picture]:
    found = []
    for name in _keys(gallery, _MAP, explainers(record)):
        relevance = np.nan_to_num(gallery[_MAP + name][index].astype(np.float64))
        if is_selection(relevance):
            shown, what = _dimmed(base, relevance > 0), "Patches selected by"
        else:
            shown, what = _heated(base, relevance), "Relevance map of"
        found.append(Picture(_png(shown), f"{what} {name} for image {identifier}", name))
    return found


def _swap_pictures(
    record: RunRecord, gallery: Arrays, index: int, identifier: str
) -> list[Picture]:
    found = []
    for variant in _keys(gallery, _SWAP, record.protocol.variants):
        shown = _display(gallery[_SWAP + variant][index], _side(gallery))
        caption, wrong = variant, False
        if f"swap_pred:{variant}" in gallery:
            predicted = int(gallery[f"swap_pred:{variant}"][index])
            wrong = predicted != int(gallery["y"][index])
            caption = f"{variant}: {class_name(record, predicted)}"
        alt = f"Image {identifier} as {caption}"
        found.append(Picture(_png(shown), alt, caption, wrong))
    return found


def _keys(gallery: Arrays, prefix: str, order: Sequence[str]) -> list[str]:
    """The names behind a prefix, in the given order, the others after them."""
    names = [key.removeprefix(prefix) for key in gallery if key.startswith(prefix)]
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _side(gallery: Arrays) -> int:
    """Pictures are smaller where there are many, so that the page stays light."""
    maps = sum(key.startswith(_MAP) for key in gallery)
    return _SIDE if maps <= _MANY_MAPS else _SMALL_SIDE


def _display(image: NDArray[Any], side: int) -> Pixels:
    """The image at display size: small ones enlarged by whole pixels, large ones reduced."""
    from PIL import Image

    height, width = image.shape[:2]
    factor = side // max(height, width)
    if factor >= 2:
        return np.asarray(image.repeat(factor, axis=0).repeat(factor, axis=1), dtype=np.uint8)
    picture = Image.fromarray(np.asarray(image, dtype=np.uint8))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.uint8)


def _enlarged(grid: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A map of patches, or a mask, at the size of the picture: nearest cell, no smoothing."""
    rows = np.arange(shape[0]) * grid.shape[0] // shape[0]
    columns = np.arange(shape[1]) * grid.shape[1] // shape[1]
    return np.asarray(grid[np.ix_(rows, columns)])


def _dimmed(base: Pixels, selected: NDArray[np.bool_]) -> Pixels:
    keep = _enlarged(selected, base.shape)[..., None]
    return np.where(keep, base, (base * _DIMMED).astype(np.uint8))


def _heated(base: Pixels, relevance: NDArray[np.float64]) -> Pixels:
    """The map in colour over the grey image; equal maps look equal whatever their scale."""
    import matplotlib as mpl

    low, high = relevance.min(), relevance.max()
    scaled = (relevance - low) / (high - low) if high > low else np.zeros_like(relevance)
    colours = mpl.colormaps["inferno"](_enlarged(scaled, base.shape))[..., :3] * 255
    grey = base.mean(axis=2, keepdims=True)
    return np.asarray(0.4 * grey + 0.6 * colours, dtype=np.uint8)


def _png(pixels: Pixels) -> str:
    """A data URI; 256 colours are enough at this size and a third of the bytes."""
    from PIL import Image

    picture = Image.fromarray(pixels).quantize(256)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
