"""Objects to paste: a table of images with masks and one of two classes each."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifambench.data.composites.species import is_waterbird
from ifambench.data.draws import Draws
from ifambench.data.folders import find_data_folder
from ifambench.data.images import upright
from ifambench.data.masks import RLE, whole_mask
from ifambench.data.readers import read_rows
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.parts import is_inside
from ifambench.suites.source import Source
from ifambench.suites.spec import Suite

BIRDS = ("landbird", "waterbird")
SPLITS = ("train", "val", "test")
_VAL_SHARE = 0.2
_VAL = 17
_TABLES = ("images.txt", "train_test_split.txt")


class Object(NamedTuple):
    """One image with an object."""

    id: str
    file: str
    """Name of the composite below `images`, without suffix."""
    y: int
    split: str
    image: Path
    mask: str
    """Below `Objects.root`."""


class Objects(NamedTuple):
    """All objects, sorted by id within each split, and what they are.

    Attributes:
        labels: Names of the two classes.
        root: What masks are relative to.
        source: How masks are read; None for soft grey pictures.
        items: The objects.
    """

    labels: tuple[str, str]
    root: Path
    source: Source | None
    items: tuple[Object, ...]


def cub_objects(folder: Path, masks: Path, seed: int, *, exact: bool = False) -> Objects:
    """The birds of CUB-200-2011, with a fifth of the training images as validation split.

    Args:
        folder: With `images.txt`, `train_test_split.txt` and `images/`.
        masks: Folder of the segmentations, with the same relative paths, `.png`.
        seed: Of the validation split.
        exact: Label waterbirds by whole words instead of by the rule of Waterbirds.

    Raises:
        EnvironmentProblem: If a table is missing or not as it should be.
    """
    files, training = (_pairs(folder / name) for name in _TABLES)
    if files.keys() != training.keys():
        raise EnvironmentProblem("the tables list other images", where=str(folder / _TABLES[1]))
    items = []
    for name, file in files.items():
        if not is_inside(file) or not PurePosixPath(file).name:
            raise EnvironmentProblem(f'"{file}" leads out of the folder', where=str(folder))
        path = PurePosixPath(file).with_suffix("")
        split = "train" if training[name] == "1" else "test"
        y = int(is_waterbird(path.parts[0], exact=exact))
        image = folder / "images" / file
        items.append(Object(name, str(path), y, split, image, f"{path}.png"))
    return Objects(BIRDS, masks, None, _ordered(_with_validation(items, seed)))


def suite_objects(
    suite: Suite, data_dir: Path | None, seed: int, *, exact: bool = False
) -> Objects:
    """The objects of a suite with masks and two classes, or with the species of CUB.

    Args:
        suite: Read from files.
        data_dir: Folder of the suites' folders.
        seed: Of the validation split, where the suite has none.
        exact: As for `cub_objects`; of species only.

    Raises:
        UsageError: If the suite is drawn, or has neither two classes nor species of water birds.
        EnvironmentProblem: If the images are missing, or one has no mask.
    """
    if suite.source is None:
        raise UsageError(f"{suite.id} is drawn, it has no files to cut out of", where="--objects")
    folder = find_data_folder(suite, data_dir)
    rows = read_rows(suite, folder)
    without = rows.loc[rows["mask"].eq(""), "id"]
    if len(without):
        raise EnvironmentProblem(f"image {without.iloc[0]} has no mask", where=str(folder))
    labels, classes = _classes(suite, exact=exact)
    items = [
        Object(
            name,
            str(PurePosixPath(path).relative_to(suite.source.images).with_suffix("")),
            classes[y],
            split,
            folder / path,
            mask,
        )
        for name, path, y, split, mask in zip(
            *(rows[key] for key in ("id", "path", "y", "split", "mask")), strict=True
        )
    ]
    if "val" not in set(rows["split"]):
        items = _with_validation(items, seed)
    return Objects(labels, folder, suite.source, _ordered(items))


def opacity(objects: Objects, item: Object) -> NDArray[np.float64]:
    """The mask as opacity, (H, W) in [0, 1]: grey levels / 255 where the mask is a grey picture.

    Raises:
        EnvironmentProblem: If the mask is missing or damaged.
    """
    source = objects.source
    if source is not None and (source.mask_format != "bright" or item.mask.startswith(RLE)):
        return whole_mask(objects.root, item.mask, source).astype(np.float64)
    with upright(objects.root / item.mask) as image:
        return np.asarray(image.convert("L")) / 255


def _classes(suite: Suite, *, exact: bool) -> tuple[tuple[str, str], list[int]]:
    """Names of the two classes, and the class of each label."""
    if len(suite.labels) == len(BIRDS):
        return (suite.labels[0], suite.labels[1]), [0, 1]
    classes = [int(is_waterbird(label, exact=exact)) for label in suite.labels]
    if set(classes) == {0, 1}:
        return BIRDS, classes
    raise UsageError(
        f"{suite.id} has {len(suite.labels)} classes; two are wanted, or the species of CUB",
        where="--objects",
    )


def _with_validation(items: list[Object], seed: int) -> list[Object]:
    """A fifth of the training images, drawn by sorted id, become the validation split."""
    training = sorted((item for item in items if item.split == "train"), key=_by_id)
    n = round(_VAL_SHARE * len(training))
    chosen = {training[k].id for k in Draws(seed, _VAL).permutation(len(training))[:n]}
    return [item._replace(split="val") if item.id in chosen else item for item in items]


def _ordered(items: list[Object]) -> tuple[Object, ...]:
    return tuple(sorted(items, key=lambda item: (SPLITS.index(item.split), *_by_id(item))))


def _by_id(item: Object) -> tuple[int, str]:
    """Numbers by value, then texts."""
    return (int(item.id) if item.id.isascii() and item.id.isdigit() else 0), item.id


def _pairs(path: Path) -> dict[str, str]:
    """A table of CUB: an id and a value in each line."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(
            f"cannot read the table: {error}",
            where=str(path),
            next_step="--objects must be a suite, or a folder such as CUB_200_2011",
        ) from error
    if not lines or any(len(line) != 2 for line in lines):
        raise EnvironmentProblem("a line is not an id and a value", where=str(path))
    return {line[0]: line[1] for line in lines}
