"""A suite in the manner of Waterbirds, in a folder: composites, masks, table and suite file.

The rule is that of Sagawa et al. 2020, the images are not theirs: their script drew without a seed,
and here values are rounded once instead of twice and photos fitted by Pillow. The table has their
columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ifambench.data.composites.assign import assign_photos, assign_places
from ifambench.data.composites.objects import SPLITS, Object, Objects, opacity
from ifambench.data.composites.paste import composed, fitted_photo, rgb
from ifambench.data.files import in_threads
from ifambench.data.new_folder import new_folder
from ifambench.data.swap.pools import photos
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite
from ifambench.suites.spec import Suite
from ifambench.suites.toml_text import toml_text

COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")
PLACES = ("land", "water")
_QUALITY = 95
"""Of the JPEG files."""


@dataclass(frozen=True)
class Composition:
    """What is to be built.

    Attributes:
        objects: The objects.
        places: Folder of the photos of land, and of water; all photos below are taken.
        out: The new folder.
        correlation: Share of the training images of each class on its own kind of place.
        seed: Of all draws.
        reuse_places: Let objects of one split share photos when there are too few.
        origin: Where the objects are from, for the suite file.
    """

    objects: Objects
    places: tuple[Path, Path]
    out: Path
    correlation: float = 0.95
    seed: int = 0
    reuse_places: bool = False
    origin: str = ""


class _Row(NamedTuple):
    item: Object
    place: int
    photo: str

    @property
    def file(self) -> str:
        return f"{self.item.file}.jpg"


def build_waterbirds(asked: Composition, progress: Progress) -> dict[str, dict[str, int]]:
    """Write the folder; returns the number of images per split and group.

    Raises:
        UsageError: If the folder is there already or the correlation is no share.
        EnvironmentProblem: If files are missing, an object's mask has another size than its image,
            or there are too few photos.
    """
    if not 0 <= asked.correlation <= 1:
        raise UsageError("must be between 0 and 1", where="--correlation")
    rows = _rows(asked)
    content = _content(asked, rows)
    with new_folder(asked.out) as folder:
        progress.start("build", len(rows))
        for _ in in_threads(partial(_write_one, asked, folder), rows):
            progress.advance()
        _write(folder / "metadata.csv", _table(rows))
        _write(folder / "suite.toml", toml_text(content))
    names = content["groups"]["names"]
    return {
        split: dict(zip(names, expected["groups"], strict=True))
        for split, expected in content["expected"].items()
    }


def _rows(asked: Composition) -> list[_Row]:
    items = asked.objects.items
    lists = [photos(folder) for folder in asked.places]
    places = assign_places(items, asked.correlation, asked.seed)
    chosen = assign_photos(items, places, lists, asked.seed, reuse=asked.reuse_places)
    return [_Row(*row) for row in zip(items, places, chosen, strict=True)]


def _write_one(asked: Composition, folder: Path, row: _Row) -> None:
    """Compose one image; images and masks are written beside each other."""
    from PIL import Image

    image, alpha = rgb(row.item.image), opacity(asked.objects, row.item)
    if alpha.shape != (image.height, image.width):
        raise EnvironmentProblem(
            f"the mask has {alpha.shape[1]} x {alpha.shape[0]} pixels, its image "
            f"{image.width} x {image.height}",
            where=str(row.item.image),
            next_step="get masks that belong to these images",
        )
    place = fitted_photo(asked.places[row.place] / row.photo, image.size)
    pasted = Image.fromarray(composed(np.asarray(image), alpha, place))
    mask = Image.fromarray(np.rint(alpha * 255).astype(np.uint8))
    for picture, path in (
        (pasted, folder / "images" / row.file),
        (mask, folder / "masks" / f"{row.item.file}.png"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=_QUALITY)


def _table(rows: Sequence[_Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        split = SPLITS.index(row.item.split)
        photo = f"{PLACES[row.place]}/{row.photo}"
        writer.writerow([row.item.id, row.file, row.item.y, split, row.place, photo])
    return file.getvalue()


def _content(asked: Composition, rows: Sequence[_Row]) -> Mapping[str, Any]:
    """The suite file, checked; image size and recipes are those of Waterbirds."""
    like = load_suite("waterbirds").suite
    labels = list(asked.objects.labels)
    counts = {split: _counts(rows, split) for split in SPLITS}
    content = {
        "schema": 1,
        "id": "waterbirds-built",
        "version": "1.0.0",
        "title": "Objects on places, built like Waterbirds",
        "summary": f"{asked.origin or 'objects'} pasted on photos of {' and '.join(PLACES)}.",
        "kind": "group_shift",
        "licence": "that of the objects and of the photos",
        "image_size": like.image_size,
        "labels": labels,
        "known_issues": [
            f"Built with correlation {asked.correlation:g} and seed {asked.seed}; not the "
            "published Waterbirds: never compare its numbers with published ones."
        ],
        "attributes": {"place": {"values": list(PLACES), "origin": "composed"}},
        "groups": {
            "by": ["y", "place"],
            "names": [f"{label}_on_{place}" for label in labels for place in PLACES],
            "minority": [f"{labels[0]}_on_{PLACES[1]}", f"{labels[1]}_on_{PLACES[0]}"],
        },
        "source": _source(asked.out.name, labels),
        "splits": {split: sum(groups) for split, groups in counts.items()},
        "expected": {s: {"n": sum(groups), "groups": groups} for s, groups in counts.items()},
        "protocol": {
            "standard": {
                "selection": "best_val_worst_group_accuracy",
                "variants": ["original"],
                "explain": {"images": 0, "steps": 14},
            }
        },
        "recipe": like.recipe,
    }
    Suite.model_validate(content)
    return content


def _source(folder: str, labels: Sequence[str]) -> dict[str, Any]:
    def coding(column: str, names: Sequence[str]) -> dict[str, Any]:
        return {"column": column, "values": {str(k): name for k, name in enumerate(names)}}

    return {
        "reader": "metadata_csv",
        "folders": [folder],
        "images": "images",
        "masks": "masks",
        "columns": {"id": "img_id", "path": "img_filename", "bg_id": "place_filename"},
        "label": coding("y", labels),
        "split": coding("split", SPLITS),
        "attributes": {"place": coding("place", PLACES)},
    }


def _counts(rows: Sequence[_Row], split: str) -> list[int]:
    cells = [2 * row.item.y + row.place for row in rows if row.item.split == split]
    return [cells.count(cell) for cell in range(4)]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
