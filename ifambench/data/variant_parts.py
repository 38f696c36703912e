"""What all kinds of variants have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ifambench.data.folders import data_root
from ifambench.data.manifest import Pixels


@dataclass(frozen=True)
class Place:
    """Where the files of a suite's variants and pools are looked for.

    Attributes:
        folder: The suite's folder.
        data_dir: As given by the user, or None for the default places.
        published: Whether the images are the whole suite, so that published hashes hold.
        skip_bad: Whether files that cannot be read are left out later, so that they are no error.
    """

    folder: Path
    data_dir: Path | None = None
    published: bool = True
    skip_bad: bool = False

    def roots(self) -> list[Path]:
        """Folders below which others are looked for, in this order."""
        return [data_root(self.data_dir), self.folder]


class Made(NamedTuple):
    """One variant of the loaded images.

    Attributes:
        name: Of the variant.
        rows: Manifest rows.
        pixels: What is behind them.
        digest: sha256 of everything that makes the pixels, apart from the originals.
        warnings: What a reader must know.
        table: The pairing table of a swap, as CSV.
    """

    name: str
    rows: pd.DataFrame
    pixels: Pixels
    digest: str
    warnings: tuple[str, ...] = ()
    table: str = ""
