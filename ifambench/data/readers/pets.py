"""Reader `pets`: Oxford-IIIT Pet (Parkhi et al. 2012), as published or as a table.

The published lists `annotations/{trainval,test}.txt` name image, breed (1..37), species (1 cat, 2
dog) and a number within the species; `trainval` is the split `train`. The breed is read from the
file name, which starts with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from posixpath import splitext
from typing import NamedTuple, cast

from ifambench.data.holdout import drawn_ids
from ifambench.data.readers.item import Item, declared
from ifambench.data.readers.table import Form, columns_of, read_table, refuse_columns
from ifambench.suites.source import Pets
from ifambench.suites.source_base import Holdout
from ifambench.suites.spec import Suite

READERS = {
    "pets": {
        "build": "read_pets",
        "summary": "Oxford-IIIT Pet: annotations and trimaps, or labels.csv",
    }
}

_TABLE = "labels.csv"
_COLUMNS = ("file", "breed", "species")
_LISTS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}
_LIST = Form("whitespace", ("image", "class", "species", "number"))
_SPECIES = {"1": "cat", "2": "dog"}
_HALF = Holdout(split="test", of="train", share=0.5, by=["breed"])


class _Pet(NamedTuple):
    file: str
    breed: str
    species: str
    split: str
    where: str


def read_pets(suite: Suite, folder: Path) -> list[Item]:
    """The pets of the lists, or of `labels.csv` where there are no lists.

    `labels.csv` names no split. Half of each breed is then drawn as test images, as the published
    lists have it, unless `source.holdout` draws them or the suite has no training split.

    Args:
        suite: A suite with this reader; attributes may be `species` and `breed`.
        folder: The folder with `images/`.

    Raises:
        EnvironmentProblem: If a table is missing or damaged, or names what the suite does not
            declare.
    """
    source = cast(Pets, suite.source)
    listed = (folder / _LISTS["test"]).exists() or not (folder / _TABLE).exists()
    pets = _listed(suite, folder) if listed else _tabled(suite, source, folder)
    trimaps = source.masks or ("annotations/trimaps" if listed else "trimaps")
    names = {
        "breed": {_plain(name): name for name in _values(suite, source, "breed")},
        "species": {_plain(name): name for name in _values(suite, source, "species")},
    }
    return [_item(source, pet, trimaps, names) for pet in pets]


def _values(suite: Suite, source: Pets, name: str) -> list[str]:
    """The declared names of breeds or species, if the suite uses them."""
    if source.label == name:
        return suite.labels
    return suite.attributes[name].values if name in suite.attributes else []


def _item(source: Pets, pet: _Pet, trimaps: str, names: Mapping[str, Mapping[str, str]]) -> Item:
    found = {
        name: declared(name, _plain(text), names[name], "the table", pet.where)
        for name, text in (("breed", pet.breed), ("species", pet.species))
        if names[name]
    }
    stem = splitext(pet.file)[0]
    return Item(
        id=stem,
        path=str(PurePosixPath(source.images) / pet.file),
        split=pet.split,
        label=found[source.label],
        where=pet.where,
        attributes=found,
        mask=f"{PurePosixPath(trimaps) / stem}{source.mask_suffix}",
    )


def _listed(suite: Suite, folder: Path) -> Iterator[_Pet]:
    for split, file in _LISTS.items():
        if split not in suite.splits:
            continue
        for line in read_table(folder / file, None, _LIST):
            image = line.cells["image"]
            species = declared("species", line.cells["species"], _SPECIES, "the table", line.where)
            yield _Pet(f"{image}.jpg", image.rpartition("_")[0], species, split, line.where)


def _tabled(suite: Suite, source: Pets, folder: Path) -> Iterator[_Pet]:
    path = folder / _TABLE
    refuse_columns(path, _COLUMNS, columns_of(path), f"suite {suite.id}: source")
    lines = list(read_table(path, _COLUMNS))
    breeds: dict[tuple[str, ...], list[str]] = {}
    for line in lines:
        breeds.setdefault((line.cells["breed"],), []).append(line.cells["file"])
    drawn = set() if "test" in source.drawn_splits else drawn_ids(breeds, _HALF)
    for line in lines:
        test = "train" not in suite.splits or line.cells["file"] in drawn
        yield _Pet(**line.cells, split="test" if test else "train", where=line.where)


def _plain(name: str) -> str:
    """Breeds are written with capitals, blanks or underscores."""
    return name.casefold().replace(" ", "_").replace("-", "_")
