"""A few pasted shapes in the on-disk layout of Waterbirds: table, images by species, masks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from ifambench.suites.catalog import load_suite
from ifambench.suites.spec import Suite

SUITE = """
schema = 1
id = "tinybirds"
version = "1.0.0"
title = "Tiny birds"
summary = "discs on green or blue, in files"
kind = "group_shift"
licence = "CC0"
image_size = 32
labels = ["landbird", "waterbird"]

[attributes.place]
values = ["land", "water"]

[groups]
by = ["y", "place"]
names = ["landbird_on_land", "landbird_on_water", "waterbird_on_land", "waterbird_on_water"]
minority = ["landbird_on_water", "waterbird_on_land"]

[source]
reader = "metadata_csv"
folders = ["tinybirds", "tiny_birds"]
images = "images"
masks = "masks"
homepage = "https://example.org/birds"

[source.columns]
id = "img_id"
path = "img_filename"
fg_id = "img_filename"
bg_id = "place_filename"

[source.label]
column = "y"
values = { 0 = "landbird", 1 = "waterbird" }

[source.split]
column = "split"
values = { 0 = "train", 1 = "val", 2 = "test" }

[source.attributes.place]
column = "place"
values = { 0 = "land", 1 = "water" }

[splits]
train = 24
val = 8
test = 16

[expected.train]
n = 24
groups = [10, 2, 2, 10]

[expected.val]
n = 8
groups = [2, 2, 2, 2]

[expected.test]
n = 16
groups = [4, 4, 4, 4]

[protocol.standard]
selection = "best_val_accuracy"
variants = ["original"]

[protocol.standard.explain]
images = 0
steps = 4

[recipe.vit]
epochs = 1
batch_size = 8
"""

COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")
_COUNTS = ((10, 2, 2, 10), (2, 2, 2, 2), (4, 4, 4, 4))
_SPECIES = ("008.Rhinoceros_Auklet", "004.Groove_billed_Ani")


def write_birds(root: Path) -> Path:
    """The folder `tinybirds` below a data folder; images are wider than high or the reverse."""
    folder = root / "tinybirds"
    rows = []
    cells = [
        (split, group)
        for split, counts in enumerate(_COUNTS)
        for group, n in enumerate(counts)
        for _ in range(n)
    ]
    for k, (split, group) in enumerate(cells):
        y, place = divmod(group, 2)
        name = f"{_SPECIES[1 - y]}/Bird_{k:04d}.jpg"
        _write_bird(folder, name, k, y, place)
        rows.append((k + 1, name, y, split, place, f"/o/ocean/{k}.jpg"))
    write_table(folder, rows[::-1])  # the order of the table does not matter
    return folder


def write_table(folder: Path, rows: list[tuple]) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def table_rows(folder: Path) -> list[tuple]:
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def bird_suite(folder: Path, *changes: tuple[str, str]) -> Suite:
    """The suite, read from a file in the folder, with pieces of its text replaced."""
    return load_suite(str(write_suite(folder, *changes))).suite


def write_suite(folder: Path, *changes: tuple[str, str]) -> Path:
    text = SUITE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "tinybirds" / "suite.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _write_bird(folder: Path, name: str, k: int, y: int, place: int) -> None:
    height, width = ((40, 56), (56, 40))[k % 2]
    rng = np.random.default_rng(k)
    pixels = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    pixels[..., 1 + place] += 120
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    mask = np.hypot(across - width / 2, down - height / 2) < 9
    pixels[mask] = (220, 200, 40) if y else (60, 30, 10)
    image, shape = (
        (folder / kind / name).with_suffix(ending)
        for kind, ending in (("images", ".jpg"), ("masks", ".png"))
    )
    for path in (image, shape):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(image, quality=95)
    Image.fromarray(mask).save(shape)
