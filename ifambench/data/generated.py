"""Suites that are drawn from a seed: images, masks and manifest rows, all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ifambench.data import waterdigits
from ifambench.data.textures import TextureParams
from ifambench.errors import UsageError
from ifambench.progress import Progress
from ifambench.suites.spec import Generation, Suite


@dataclass(frozen=True)
class MemoryPixels:
    """Images held in memory; an id ends in the position of the image within its split.

    Attributes:
        stacks: For each split and variant, (N, H, W, 3) uint8.
        mask_stacks: For each split, (N, H, W) bool.
    """

    stacks: Mapping[tuple[str, str], NDArray[np.uint8]]
    mask_stacks: Mapping[str, NDArray[np.bool_]]

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        """The images of the manifest rows, (N, H, W, 3) RGB."""
        position = _positions(rows)
        keys = list(zip(rows["split"], rows["variant"], strict=True))
        return np.stack([self.stacks[key][p] for key, p in zip(keys, position, strict=True)])

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """The true foreground masks of the manifest rows, (N, H, W)."""
        pairs = zip(rows["split"], _positions(rows), strict=True)
        return np.stack([self.mask_stacks[split][p] for split, p in pairs])


def _positions(rows: pd.DataFrame) -> list[int]:
    return [int(name.rpartition("-")[2]) for name in rows["id"]]


class Generated(NamedTuple):
    """What was drawn.

    Attributes:
        manifest: Rows of all splits and variants.
        pixels: Images and masks.
        fingerprints: For each split, sha256 of rows, masks and images.
    """

    manifest: pd.DataFrame
    pixels: MemoryPixels
    fingerprints: dict[str, str]


def generate(suite: Suite, counts: Mapping[str, int], progress: Progress) -> Generated:
    """Draw some splits of a suite.

    Args:
        suite: A suite with `[generation]`.
        counts: Images per split.
        progress: Told about each image.

    Raises:
        UsageError: If the suite file gives the generator wrong parameters.
    """
    params = generation_params(suite)
    progress.start("data", sum(counts.values()))
    made = {name: _generate_split(suite, params, name, n, progress) for name, n in counts.items()}
    return Generated(
        manifest=pd.concat([rows for rows, _, _, _ in made.values()], ignore_index=True),
        pixels=_merge(made.values()),
        fingerprints={name: _fingerprint(*part) for name, part in made.items()},
    )


def generation_of(suite: Suite) -> Generation:
    """The section `[generation]`.

    Raises:
        UsageError: If the suite is read from files.
    """
    if suite.generation is None:
        raise UsageError(
            f"{suite.id} is read from files, nothing of it can be generated",
            next_step="choose a suite whose file has a section [generation]",
        )
    return suite.generation


def generation_params(suite: Suite) -> waterdigits.WaterdigitsParams:
    """The generator's parameters from `[generation.params]`, checked.

    Raises:
        UsageError: If a parameter is unknown, of the wrong type or out of range, or if the suite
            is read from files.
    """
    where = f"suites/{suite.id}/suite.toml: generation.params"
    given = generation_of(suite).params
    for names, kind in (
        (given, waterdigits.WaterdigitsParams),
        (given.get("texture", {}), TextureParams),
    ):
        known = [field.name for field in fields(kind)]
        for name in names:
            if name not in known:
                raise UsageError(f'unknown parameter "{name}"', where=where, choices=known)
    try:
        params = TypeAdapter(waterdigits.WaterdigitsParams).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(first["msg"], where=f"{where}.{key}") from error
    for key, problem in _problems(suite, params):
        raise UsageError(problem, where=f"{where}.{key}")
    return params


def _problems(suite: Suite, params: waterdigits.WaterdigitsParams) -> Iterator[tuple[str, str]]:
    """Parameters that contradict each other or the suite, with what is wrong."""
    if len(params.digits) != len(suite.labels):
        yield "digits", f"{len(params.digits)} classes of digits for {len(suite.labels)} labels"
    if not all(group and set(group) <= set(range(10)) for group in params.digits):
        yield "digits", "each class needs digits between 0 and 9"
    if suite.attributes.keys() != {"place"} or suite.groups.by != ["y", "place"]:
        yield "digits", "the generator has the one attribute place; groups.by must be y, place"
    if not 0 <= params.correlation <= 1:
        yield "correlation", "must be between 0 and 1"
    if params.side != suite.image_size or params.side % 8:
        yield "side", f"must be image_size ({suite.image_size}) and divisible by 8"
    low, high = params.diameter
    if not 0 < low <= high <= 0.75 * params.side:
        yield "diameter", f"must be two rising numbers up to {0.75 * params.side:g}"
    if params.textures_per_place < 1:
        yield "textures_per_place", "must be positive"


_Part = tuple[pd.DataFrame, dict[str, NDArray[np.uint8]], NDArray[np.bool_], str]


def _generate_split(
    suite: Suite,
    params: waterdigits.WaterdigitsParams,
    split: str,
    n: int,
    progress: Progress,
) -> _Part:
    """Manifest rows, images per variant and masks of one split."""
    seed, side = generation_of(suite).seed, params.side
    evaluated = {protocol.eval_split for protocol in suite.protocol.values()}
    variants = waterdigits.VARIANTS if split in evaluated else waterdigits.VARIANTS[:1]
    stacks = {name: np.empty((n, side, side, 3), np.uint8) for name in variants}
    masks = np.empty((n, side, side), np.bool_)
    rows = []
    for index, (y, place) in enumerate(waterdigits.assign(params, split, n)):
        drawn = waterdigits.render(seed, params, split, index, y, place)
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
    """One pixel store for all splits."""
    stacks: dict[tuple[str, str], NDArray[np.uint8]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    for _, images, foreground, split in parts:
        stacks |= {(split, variant): stack for variant, stack in images.items()}
        masks[split] = foreground
    return MemoryPixels(stacks, masks)


def _fingerprint(
    rows: pd.DataFrame, stacks: dict[str, NDArray[np.uint8]], masks: NDArray[np.bool_], _: str
) -> str:
    found = hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode())
    found.update(np.packbits(masks).tobytes())
    for name in sorted(stacks):
        found.update(stacks[name].tobytes())
    return found.hexdigest()
