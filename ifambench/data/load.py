"""A suite file becomes a manifest with pixels behind it, checked against what the file expects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data import waterdigits
from ifambench.data.manifest import SuiteData, check_groups
from ifambench.data.textures import TextureParams
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.spec import Suite

DEFAULT_SIZE = "default"


@dataclass(frozen=True)
class MemoryPixels:
    """Images held in memory, addressed by variant and by position within the variant.

    Attributes:
        stacks: For each variant, (N, H, W, 3) uint8 in the order of `position`.
        mask_stack: (N, H, W) bool.
        position: Index into the stacks of each image id.
    """

    stacks: Mapping[str, NDArray[np.uint8]]
    mask_stack: NDArray[np.bool_]
    position: Mapping[str, int]

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        """The images of the manifest rows, (N, H, W, 3) RGB."""
        side = self.mask_stack.shape[1:]
        found = np.empty((len(rows), *side, 3), np.uint8)
        variants = rows["variant"].to_numpy()
        places = self._positions(rows)
        for variant in set(variants):
            chosen = variants == variant
            found[chosen] = self.stacks[variant][places[chosen]]
        return found

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The true foreground masks of the manifest rows, (N, H, W)."""
        return self.mask_stack[self._positions(rows)]

    def _positions(self, rows: pd.DataFrame) -> NDArray[np.int64]:
        return np.array([self.position[name] for name in rows["id"]], np.int64)


def load_data(
    suite: Suite,
    size: str = DEFAULT_SIZE,
    splits: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> SuiteData:
    """Generate the suite's data and check counts and fingerprint.

    Args:
        suite: The suite file's content.
        size: `default`, or the number of training images; the other splits grow in proportion.
        splits: The splits to make; all declared ones by default.
        progress: Told about each image.

    Raises:
        UsageError: If `size` is not a number of images the suite can be drawn with.
        EnvironmentProblem: If a declared group is empty, or if counts or pixels differ from what
            the suite file promises.
    """
    params = generation_params(suite)
    counts = split_sizes(suite, size)
    wanted = [name for name in counts if splits is None or name in set(splits)]
    progress = progress or Progress()
    progress.start("data", sum(counts[name] for name in wanted))
    made = {name: _generate_split(suite, params, name, counts[name], progress) for name in wanted}
    manifest = pd.concat([rows for rows, _, _, _ in made.values()], ignore_index=True)
    check_groups(suite, manifest)
    fingerprints = {name: _fingerprint(*part) for name, part in made.items()}
    if size == DEFAULT_SIZE:
        _check_fingerprints(suite, fingerprints)
        _check_counts(suite, manifest)
    return SuiteData(
        suite=suite,
        manifest=manifest,
        pixels=_merge(made.values()),
        digest=hashlib.sha256(repr(sorted(fingerprints.items())).encode()).hexdigest(),
        size=size,
    )


def split_sizes(suite: Suite, size: str) -> dict[str, int]:
    """Images per split for a `--size`.

    Raises:
        UsageError: If the size is not a whole number of at least 200 training images.
    """
    if size == DEFAULT_SIZE:
        return dict(suite.splits)
    if not size.isdecimal() or int(size) < 200:
        raise UsageError(
            f'"{size}" is not a size',
            where="--size",
            choices=["default", "the number of training images, at least 200"],
        )
    scale = int(size) / suite.splits["train"]
    cells = len(suite.groups.names)
    return {name: max(cells, round(n * scale / cells) * cells) for name, n in suite.splits.items()}


def generation_params(suite: Suite) -> waterdigits.WaterdigitsParams:
    """The generator's parameters from `[generation.params]`.

    Raises:
        UsageError: If a parameter is unknown.
    """
    given: dict[str, Any] = dict(suite.generation.params)
    try:
        given["digits"] = tuple(tuple(group) for group in given["digits"])
        given["diameter"] = tuple(given["diameter"])
        given["texture"] = TextureParams(**given.get("texture", {}))
        return waterdigits.WaterdigitsParams(**given)
    except (TypeError, KeyError) as error:
        raise UsageError(
            f"invalid generator parameters: {error}",
            where=f"suites/{suite.id}/suite.toml: generation.params",
            choices=list(waterdigits.WaterdigitsParams.__dataclass_fields__),
        ) from error


_Part = tuple[pd.DataFrame, dict[str, NDArray[np.uint8]], NDArray[np.bool_], str]


def _generate_split(
    suite: Suite,
    params: waterdigits.WaterdigitsParams,
    split: str,
    n: int,
    progress: Progress,
) -> _Part:
    """Manifest rows, images per variant and masks of one split."""
    side = params.side
    variants = waterdigits.VARIANTS if split == "test" else waterdigits.VARIANTS[:1]
    stacks = {name: np.empty((n, side, side, 3), np.uint8) for name in variants}
    masks = np.empty((n, side, side), np.bool_)
    rows = []
    for index, (y, place) in enumerate(waterdigits.assign(params, split, n)):
        drawn = waterdigits.render(suite.generation.seed, params, split, index, y, place)
        masks[index] = drawn.mask
        for name in variants:
            stacks[name][index] = drawn.variants[name]
            rows.append(_row(suite, split, index, y, place, name, drawn))
        progress.advance()
    frame = pd.DataFrame(rows).sort_values(["variant", "id"], kind="stable", ignore_index=True)
    return frame, stacks, masks, split


def _row(
    suite: Suite,
    split: str,
    index: int,
    y: int,
    place: int,
    variant: str,
    drawn: waterdigits.Rendered,
) -> dict[str, Any]:
    name = f"{split}-{index:05d}"
    return {
        "id": name,
        "path": "generated",
        "split": split,
        "y": y,
        "group": suite.groups.names[y * len(waterdigits.PLACES) + place],
        "a_place": waterdigits.PLACES[place],
        "mask": "generated",
        "variant": variant,
        "fg_id": drawn.glyph,
        "bg_id": drawn.backgrounds[variant],
    }


def _merge(parts: Iterable[_Part]) -> MemoryPixels:
    """One pixel store for all splits; a variant that a split lacks has no rows in the manifest."""
    parts = list(parts)
    names = [split for _, _, _, split in parts]
    masks = np.concatenate([masks for _, _, masks, _ in parts])
    offsets = dict(zip(names, np.cumsum([0, *(len(p[2]) for p in parts)]), strict=False))
    position = {
        name: int(name.rpartition("-")[2]) + int(offsets[split])
        for rows, _, _, split in parts
        for name in rows["id"].unique()
    }
    return MemoryPixels(_join_variants(parts), masks, position)


def _join_variants(parts: list[_Part]) -> dict[str, NDArray[np.uint8]]:
    side = parts[0][2].shape[1:]
    joined = {}
    for variant in sorted({name for _, stacks, _, _ in parts for name in stacks}):
        pieces = [
            stacks.get(variant, np.zeros((len(masks), *side, 3), np.uint8))
            for _, stacks, masks, _ in parts
        ]
        joined[variant] = np.concatenate(pieces)
    return joined


def _fingerprint(
    rows: pd.DataFrame, stacks: dict[str, NDArray[np.uint8]], masks: NDArray[np.bool_], _: str
) -> str:
    found = hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode())
    found.update(np.packbits(masks).tobytes())
    for name in sorted(stacks):
        found.update(stacks[name].tobytes())
    return found.hexdigest()


def _check_fingerprints(suite: Suite, found: Mapping[str, str]) -> None:
    for split, value in found.items():
        promised = suite.generation.fingerprint.get(split)
        if promised is not None and promised != value:
            raise EnvironmentProblem(
                f'the generated split "{split}" is not the published one '
                f"(sha256 {value[:12]} instead of {promised[:12]})",
                where=f"suites/{suite.id}/suite.toml: generation.fingerprint",
                next_step="pip install --upgrade numpy scikit-learn; then report it",
            )


def _check_counts(suite: Suite, manifest: pd.DataFrame) -> None:
    originals = manifest[manifest["variant"] == "original"]
    for split, rows in originals.groupby("split"):
        counts = rows["group"].value_counts()
        found = [int(counts[name]) for name in suite.groups.names]
        expected = suite.expected.get(str(split))
        if expected is not None and found != expected.groups:
            raise EnvironmentProblem(
                f'split "{split}" has groups of {found} images, expected {expected.groups}',
                where=f"suites/{suite.id}/suite.toml: expected.{split}.groups",
            )
