"""Backgrounds of another collection: the section `[[pool]]` of a suite file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ifambench.data.folders import first_folder
from ifambench.data.readers.patterns import IMAGE_SUFFIXES, is_hidden, refuse_odd_names
from ifambench.data.swap.pairing import ANY, Backgrounds, Item, backgrounds
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.variant import Pool

_SUFFIXES = tuple(f".{name}" for name in IMAGE_SUFFIXES)


@dataclass(frozen=True)
class FoundPool:
    """The photos of a pool on this machine.

    Attributes:
        folder: What their paths are relative to.
        behind: They as backgrounds; the id of a photo is `pool:PATH`.
    """

    folder: Path
    behind: Backgrounds


def find_pool(pool: Pool, places: Sequence[Path], pair_by: str, values: Sequence[str]) -> FoundPool:
    """List the photos of a pool, sorted.

    Args:
        pool: The section of the suite file.
        places: Folders below which `pool.folders` are looked for, in this order.
        pair_by: What the categories are values of, as in the variant.
        values: Names of these values.

    Raises:
        UsageError: If a category is no such value.
        EnvironmentProblem: If no folder is there, or one of a category holds no image.
    """
    unknown = [name for name in pool.categories if name not in values]
    if unknown:
        raise UsageError(
            f'category "{unknown[0]}" of pool {pool.name} is no value of {pair_by}',
            where=f"suite.toml: pool.{pool.name}.categories",
            choices=list(values),
        )
    folder = _folder(pool, places)
    attribute = pair_by != "y"
    items = []
    for name, below in (pool.categories or {"": ""}).items():
        value = values.index(name) if name else ANY
        named = ("", name) if attribute else (name, "")
        items += [Item(f"{pool.name}:{path}", value, *named) for path in photos(folder, below)]
    return FoundPool(folder, backgrounds(items, len(values)))


def pool_path(background: str) -> str:
    """The path below the pool's folder, from the id of a background."""
    return background.partition(":")[2]


def photos(folder: Path, below: str = "") -> list[str]:
    """Paths of all images below a folder, sorted, relative to `folder`.

    Raises:
        EnvironmentProblem: If there is none.
    """
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder / below).rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file()
    )
    found = [path for path in found if not any(map(is_hidden, path.split("/")))]
    refuse_odd_names(found, folder)
    if not found:
        raise EnvironmentProblem(
            "no image is there",
            where=str(folder / below),
            next_step=f"put photos there ({', '.join(_SUFFIXES)})",
        )
    return found


def _folder(pool: Pool, places: Sequence[Path]) -> Path:
    return first_folder(
        [place / name for place in places for name in pool.folders],
        f"the backgrounds of pool {pool.name}",
        "put the photos there, or set --data-dir or IFAMBENCH_DATA to their folder",
    )
