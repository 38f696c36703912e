"""The manifest: one row per image and variant, in a fixed order.

Columns: `id, path, split, y, group, a_<attribute>..., mask, variant, fg_id, bg_id`. `id` is the
same for all variants of one image; the key is (id, variant). `group` is a declared *name*. `path`
and `mask` address the pixels within the data source; generated suites write `generated`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
        size: `default`, `available`, or the number of training images asked for.
        skipped: Paths of images that could not be read and were left out.
        warnings: What a reader of numbers must know about the images.
        tables: Pairing table (CSV) of each background swap.
    """

    suite: Suite
    manifest: pd.DataFrame
    pixels: Pixels
    digest: str
    size: str
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)

    def rows(self, split: str, variant: str = "original") -> pd.DataFrame:
        """The manifest rows of a split and variant, index reset."""
        chosen = (self.manifest["split"] == split) & (self.manifest["variant"] == variant)
        return self.manifest[chosen].reset_index(drop=True)

    def train_shares(
        self, split: str = "train", groups: Sequence[str] | None = None
    ) -> tuple[float, ...] | None:
        """Share of each group in the training split, or None when there are no training images.

        Args:
            split: The training split.
            groups: Names in the wanted order; by default all declared ones. A group of the
                evaluated split that has no training image has the share 0.
        """
        counts = self.rows(split)["group"].value_counts()
        if not len(counts):
            return None
        names = self.suite.groups.names if groups is None else groups
        return tuple(float(counts.get(name, 0) / counts.sum()) for name in names)


def check_groups(suite: Suite, manifest: pd.DataFrame) -> None:
    """Every group that a split must hold has an image in it, and no other group has.

    Raises:
        EnvironmentProblem: Naming the first such group and its split.
    """
    for split, rows in manifest[manifest["variant"] == "original"].groupby("split"):
        wanted, found = suite.groups_in(str(split)), set(rows["group"])
        missing = [name for name in wanted if name not in found]
        if missing:
            raise EnvironmentProblem(
                f'group "{missing[0]}" has no image in split "{split}"',
                where=f"suites/{suite.id}/suite.toml: groups.names",
                next_step="ask for more images (--size) or correct the suite file",
            )
        surplus = sorted(found - set(wanted))
        if surplus:
            n = int((rows["group"] == surplus[0]).sum())
            raise EnvironmentProblem(
                f'group "{surplus[0]}" must be empty in split "{split}" and has {n} images',
                where=f"suites/{suite.id}/suite.toml: expected.{split}.groups",
                next_step="get the data the suite file describes, or correct the suite file",
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
        if expected is not None and not _as_expected(found.values(), expected.groups):
            listed = ", ".join(f"{n} {name}" for name, n in found.items())
            raise _other_counts(suite, f"expected.{split}.groups", listed, expected.groups)
        n = suite.splits[str(split)]
        if n and len(rows) != n:  # 0 stands for a number that is not known in advance
            raise _other_counts(suite, f"splits.{split}", f"{len(rows)} images", n)


def _as_expected(found: Iterable[int], expected: Iterable[int]) -> bool:
    """Whether the counts are the expected ones; -1 stands for any."""
    return all(n in (-1, count) for count, n in zip(found, expected, strict=True))


def _other_counts(suite: Suite, key: str, found: str, expected: object) -> EnvironmentProblem:
    return EnvironmentProblem(
        f'split "{key.split(".")[1]}" has {found}; expected {expected}',
        where=f"suites/{suite.id}/suite.toml: {key}",
        next_step="get the data the suite file describes; a suite of your own needs its own counts",
    )
