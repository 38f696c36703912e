"""The manifest: one row per image and variant, in a fixed order.

Columns: `id, path, split, y, group, a_<attribute>..., mask, variant, fg_id, bg_id`. `id` is the
same for all variants of one image; the key is (id, variant). `group` is a declared *name*. `path`
and `mask` address the pixels within the data source; generated suites write `generated`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.errors import EnvironmentProblem
from ifambench.suites.spec import Suite


class Pixels(Protocol):
    """Where the pixels of a manifest come from."""

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        """The images of the manifest rows, (N, H, W, 3) RGB."""
        ...

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The true foreground masks of the manifest rows, (N, H, W)."""
        ...


@dataclass(frozen=True)
class SuiteData:
    """A suite with its images at hand.

    Attributes:
        suite: The suite file.
        manifest: All rows of all splits and variants.
        pixels: The images and masks behind the rows.
        digest: sha256 of ids, labels, attributes, masks and pixels.
        size: `default`, or the number of training images asked for.
    """

    suite: Suite
    manifest: pd.DataFrame
    pixels: Pixels
    digest: str
    size: str

    def rows(self, split: str, variant: str = "original") -> pd.DataFrame:
        """The manifest rows of a split and variant, index reset."""
        chosen = (self.manifest["split"] == split) & (self.manifest["variant"] == variant)
        return self.manifest[chosen].reset_index(drop=True)

    def train_shares(self, split: str = "train") -> tuple[float, ...]:
        """Share of each declared group in the training split, in suite order."""
        counts = self.rows(split)["group"].value_counts()
        return tuple(float(counts[name] / counts.sum()) for name in self.suite.groups.names)


def check_groups(suite: Suite, manifest: pd.DataFrame) -> None:
    """Every declared group has an image in every split.

    Raises:
        EnvironmentProblem: Naming the first empty group and its split.
    """
    for split, rows in manifest[manifest["variant"] == "original"].groupby("split"):
        missing = [name for name in suite.groups.names if name not in set(rows["group"])]
        if missing:
            raise EnvironmentProblem(
                f'group "{missing[0]}" has no image in split "{split}"',
                where=f"suites/{suite.id}/suite.toml: groups.names",
                next_step="ask for more images (--size) or correct the suite file",
            )


def check_counts(suite: Suite, manifest: pd.DataFrame) -> None:
    """The splits have the sizes that `[splits]` and `[expected]` promise, group by group.

    Raises:
        EnvironmentProblem: Naming the first split and group that differ.
    """
    originals = manifest[manifest["variant"] == "original"]
    for split, rows in originals.groupby("split"):
        counts = rows["group"].value_counts()
        found = {name: int(counts.get(name, 0)) for name in suite.groups.names}
        expected = suite.expected.get(str(split))
        if expected is not None and list(found.values()) != expected.groups:
            listed = ", ".join(f"{n} {name}" for name, n in found.items())
            raise _other_counts(suite, f"expected.{split}.groups", listed, expected.groups)
        if len(rows) != suite.splits[str(split)]:
            n = suite.splits[str(split)]
            raise _other_counts(suite, f"splits.{split}", f"{len(rows)} images", n)


def _other_counts(suite: Suite, key: str, found: str, expected: object) -> EnvironmentProblem:
    return EnvironmentProblem(
        f'split "{key.split(".")[1]}" has {found}; expected {expected}',
        where=f"suites/{suite.id}/suite.toml: {key}",
        next_step="get the data the suite file describes; a suite of your own needs its own counts",
    )
