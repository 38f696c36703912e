"""Reader `siim_rle`: chest radiographs with lesions as run lengths (SIIM-ACR pneumothorax)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import cast

from ifambench.data.readers.item import Item, declared
from ifambench.data.readers.table import columns_of, read_table, refuse_columns
from ifambench.errors import EnvironmentProblem
from ifambench.suites.source import SiimRle
from ifambench.suites.spec import Suite

READERS = {
    "siim_rle": {
        "build": "read_siim_rle",
        "summary": "SIIM-ACR pneumothorax: run lengths of lesions, a table of chest tubes",
        "partial": True,
    }
}

_NONE = ("", "-1")
"""No lesion; blanks around it are gone already."""


def read_siim_rle(suite: Suite, folder: Path, *, partial: bool = False) -> list[Item]:
    """The images of the table of lesions.

    Images with a known tube are test images, the others are for training. An image is positive
    when one of its lines holds run lengths; its mask is the union of all of them.

    Args:
        suite: A suite with this reader: labels (without, with lesion) and, if at all, the attribute
            `tube` with the values (without, with, not annotated).
        folder: The folder with both tables.
        partial: Images with a known tube that the table of lesions does not list are left out.

    Raises:
        EnvironmentProblem: If a table is missing or damaged, or an image with a known tube has no
            line of lesions.
    """
    source = cast(SiimRle, suite.source)
    tubes = _tubes(suite, folder / source.tubes)
    lesions, where = _lesions(suite, folder / source.lesions)
    unlisted = sorted(tubes.keys() - lesions.keys())
    if unlisted and not partial:
        raise EnvironmentProblem(
            f"{len(unlisted):,} images of {source.tubes} are not listed: {', '.join(unlisted[:3])}",
            where=str(folder / source.lesions),
            next_step="get the whole table of lesions",
        )
    items = [
        _item(suite, source, name, runs, tubes.get(name, 2), where[name])
        for name, runs in lesions.items()
    ]
    return [item for item in items if item.split in suite.splits]


def _item(suite: Suite, source: SiimRle, name: str, runs: list[str], tube: int, where: str) -> Item:
    values = suite.attributes["tube"].values if "tube" in suite.attributes else []
    return Item(
        id=name,
        path=str(PurePosixPath(source.images) / f"{name}{source.suffix}"),
        split="test" if tube < 2 else "train",
        label=suite.labels[bool(runs)],
        where=where,
        attributes={"tube": values[tube]} if tube < len(values) else {},
        mask=f"rle:{source.side}:{';'.join(runs)}" if runs else "",
    )


def _tubes(suite: Suite, path: Path) -> dict[str, int]:
    refuse_columns(path, ("ImageId", "tube"), columns_of(path), f"suite {suite.id}: source.tubes")
    found: dict[str, int] = {}
    for line in read_table(path, ("ImageId", "tube")):
        name = line.cells["ImageId"]
        if name in found:
            raise EnvironmentProblem(f"the image {name} is there twice", where=line.where)
        text = declared(
            "tube", line.cells["tube"], {"0": "0", "1": "1"}, 'column "tube"', line.where
        )
        found[name] = int(text)
    return found


def _lesions(suite: Suite, path: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Run lengths per image, and where the image is listed first."""
    columns = ("ImageId", "EncodedPixels")
    refuse_columns(path, columns, columns_of(path), f"suite {suite.id}: source.lesions")
    runs: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for line in read_table(path, columns):
        name, text = line.cells["ImageId"], line.cells["EncodedPixels"]
        own = runs.setdefault(name, [])
        where.setdefault(name, line.where)
        if text not in _NONE:
            own.append(text)
    return runs, where
