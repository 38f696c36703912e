"""Pictures and tables of a suite that is built, below its new folder."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ifambench.data.files import in_threads
from ifambench.data.manifest import Pixels
from ifambench.data.variant_parts import Made
from ifambench.progress import Progress
from ifambench.suites.spec import ORIGINAL, Suite
from ifambench.suites.toml_text import toml_text

_CHUNK = 64


@dataclass(frozen=True)
class Written:
    """A suite that was built.

    Attributes:
        folder: Where it lies.
        content: Its suite file.
        rows: The originals.
        made: The variants.
        table: The pairing table.
        warnings: What has no swap.
    """

    folder: Path
    content: Mapping[str, Any]
    rows: pd.DataFrame
    made: tuple[Made, ...]
    table: str
    warnings: tuple[str, ...]

    @property
    def images(self) -> dict[str, int]:
        """Number of pictures per variant."""
        return {ORIGINAL: len(self.rows), **{item.name: len(item.rows) for item in self.made}}

    @property
    def pairing_sha256(self) -> str:
        """Of `pairing.csv`."""
        return hashlib.sha256(self.table.encode()).hexdigest()


def write_images(
    folder: Path, rows: pd.DataFrame, pixels: Pixels, made: Sequence[Made], progress: Progress
) -> dict[str, str]:
    """Originals, masks and variants as PNG; returns id -> path below `images`, `masks`, ...

    Args:
        folder: The new folder.
        rows: Manifest rows of the originals.
        pixels: Their pixels.
        made: The variants.
        progress: Told about each picture.
    """
    pairs = enumerate(zip(rows["id"], rows["split"], strict=True))
    names = {name: f"{split}/{k:06d}.png" for k, (name, split) in pairs}
    progress.start("build", len(rows) + sum(len(item.rows) for item in made))
    _pictures(folder / "images", rows, pixels.images, names, progress)
    _pictures(folder / "masks", rows, pixels.masks, names, Progress())
    for item in made:
        _pictures(folder / "variants" / item.name, item.rows, item.pixels.images, names, progress)
    return names


def _pictures(
    folder: Path,
    rows: pd.DataFrame,
    read: Callable[[pd.DataFrame], NDArray[Any]],
    names: Mapping[str, str],
    progress: Progress,
) -> None:
    for split in rows["split"].unique():
        (folder / split).mkdir(parents=True, exist_ok=True)
    for start in range(0, len(rows), _CHUNK):
        part = rows.iloc[start : start + _CHUNK]
        paths = [folder / names[name] for name in part["id"]]
        list(in_threads(_save, list(zip(paths, read(part), strict=True))))
        progress.advance(len(part))


def _save(work: tuple[Path, NDArray[Any]]) -> None:
    from PIL import Image

    path, pixels = work
    Image.fromarray(pixels).save(path)


def write_tables(
    folder: Path,
    rows: pd.DataFrame,
    names: Mapping[str, str],
    table: str,
    content: Mapping[str, Any],
) -> None:
    """`metadata.csv`, `pairing.csv` and `suite.toml`."""
    labels = content["labels"]
    attributes = list(content.get("attributes", {}))
    header = ["id", "file", "split", "label", *attributes]
    lines = [
        [row["id"], names[row["id"]], row["split"], labels[row["y"]]]
        + [row[f"a_{name}"] for name in attributes]
        for row in rows.to_dict("records")
    ]
    _write(folder / "metadata.csv", _csv([header, *lines]))
    _write(folder / "pairing.csv", table)
    _write(folder / "suite.toml", toml_text(content))


def checked(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The content of a suite file that is known to be valid."""
    Suite.model_validate(content)
    return content


def _csv(lines: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
