"""Everything that can be wrong with the images of a suite is found, by file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifambench.data.examine import difference_hash
from ifambench.data.verify import Finding, verify_suite
from tests.data.bird_files import bird_suite, table_rows, write_birds, write_table

TRAIN = "images/008.Rhinoceros_Auklet/Bird_0000.jpg"
TEST = "images/008.Rhinoceros_Auklet/Bird_0032.jpg"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_birds(tmp_path_factory.mktemp("birds"))


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "data/tinybirds")


@pytest.fixture
def suite(tmp_path):
    return bird_suite(tmp_path / "suites")


def kinds(found: list[Finding]) -> list[tuple[str, str]]:
    return [(item.kind, item.where) for item in found]


def mask_of(image: str) -> str:
    return image.replace("images", "masks").replace(".jpg", ".png")


def first_images(folder: Path) -> tuple[str, str]:
    """An image of train and one of test, of the same size."""
    rows = sorted(table_rows(folder), key=lambda row: int(row[0]))
    train = next(row[1] for row in rows if row[3] == "0")
    test = next(row[1] for row in rows if row[3] == "2" and int(row[0]) % 2)
    return f"images/{train}", f"images/{test}"


def test_a_good_folder_has_no_findings(suite, folder):
    assert verify_suite(suite, folder) == []


def test_counts_by_split_and_group(suite, folder):
    rows = sorted(table_rows(folder), key=lambda row: int(row[0]))
    write_table(folder, rows[1:])
    found = verify_suite(suite, folder, fast=True)
    assert [(item.where, item.detail) for item in found] == [
        ("train", "23 images, expected 24"),
        ("train, group landbird_on_land", "9 images, expected 10"),
    ]


def test_the_fingerprint_of_the_list(tmp_path, folder):
    change = ("[source.columns]", f'[source.fingerprint]\nval = "{"0" * 64}"\n\n[source.columns]')
    found = verify_suite(bird_suite(tmp_path / "suites", change), folder, fast=True)
    assert kinds(found) == [("fingerprint", "val")]


def test_missing_files_are_named(suite, folder):
    train, test = first_images(folder)
    (folder / train).unlink()
    (folder / mask_of(test)).unlink()
    found = [item for item in verify_suite(suite, folder, fast=True) if item.kind == "missing"]
    assert {item.where for item in found} == {train, test}
    assert {item.detail for item in found} == {
        "listed for train, not there",
        "its mask is not there",
    }


def test_a_table_that_cannot_be_read_is_one_finding(suite, folder):
    write_table(folder, [(*row[:4], "7", row[5]) for row in table_rows(folder)])
    (found,) = verify_suite(suite, folder)
    assert found.kind == "list"
    assert "metadata.csv:2" in found.where


def test_unreadable_images_and_masks(suite, folder):
    train, test = first_images(folder)
    content = (folder / train).read_bytes()
    (folder / train).write_bytes(content[: len(content) // 2])  # its header is whole
    (folder / mask_of(test)).write_bytes(b"no picture")
    found = verify_suite(suite, folder)
    assert kinds(found) == [("unreadable", train), ("unreadable", mask_of(test))]
    assert verify_suite(suite, folder, fast=True) == []


@pytest.mark.parametrize(
    ("shape", "value", "detail"),
    [
        ((40, 56), 0, "it is empty"),
        ((40, 56), 255, "it covers the whole image"),
        ((56, 40), None, "40 x 56 pixels, its image"),
    ],
)
def test_masks_that_do_not_fit(suite, folder, shape, value, detail):
    train, _ = first_images(folder)
    grey = np.zeros(shape, np.uint8)
    grey[:1, :1] = 255  # one pixel is an object
    if value is not None:
        grey[:] = value
    Image.fromarray(grey).save(folder / mask_of(train))
    (found,) = verify_suite(suite, folder)
    assert (found.kind, found.where) == ("mask", mask_of(train))
    assert detail in found.detail


def test_a_mask_of_one_pixel_is_not_empty(suite, folder):
    train, _ = first_images(folder)
    for value in (255, 0):
        grey = np.full((40, 56), 255 - value, np.uint8)
        grey[17, 31] = value
        Image.fromarray(grey).save(folder / mask_of(train))
        assert verify_suite(suite, folder) == []


def test_duplicates_across_splits(suite, folder):
    train, test = first_images(folder)
    shutil.copy(folder / train, folder / test)
    (found,) = verify_suite(suite, folder)
    assert (found.kind, found.where, found.level) == ("duplicate", test, "error")
    assert found.detail == f"in test, the same file as {train} in train"


def test_near_duplicates_across_splits_are_notes(suite, folder):
    train, test = first_images(folder)
    (folder / test).write_bytes((folder / train).read_bytes() + b"x")  # the same picture
    found = verify_suite(suite, folder)
    assert [(item.kind, item.level) for item in found] == [("near duplicate", "note")]
    assert found[0].where == test


def test_the_difference_hash():
    steps = np.tile(np.arange(0, 90, 10, dtype=np.uint8), (8, 1))
    assert difference_hash(Image.fromarray(steps)) == 2**64 - 1
    assert difference_hash(Image.fromarray(steps[:, ::-1].copy())) == 0
    steps[0, 1] = 0  # the first sign
    assert difference_hash(Image.fromarray(steps)) == 2**63 - 1
    assert difference_hash(Image.new("RGB", (20, 20), (9, 9, 9))) is None


def variant_suite(tmp_path):
    variant = '[[variant]]\nid = "other"\nimages = "others"\n\n[splits]'
    return bird_suite(tmp_path / "with", ("[splits]", variant))


def test_variants_are_looked_at_too(tmp_path, folder):
    suite = variant_suite(tmp_path)
    shutil.copytree(folder / "images", folder / "others")
    assert verify_suite(suite, folder) == []
    name = first_images(folder)[1].replace("images", "others")
    path = folder / name
    path.write_bytes(b"no image")
    assert kinds(verify_suite(suite, folder)) == [("unreadable", name)]
    path.unlink()
    (found,) = verify_suite(suite, folder, fast=True)
    assert (found.kind, found.where, found.level) == ("variant", "other", "error")
    assert path.name in found.detail


def test_a_variant_that_is_not_there_at_all_is_a_note(tmp_path, folder):
    (found,) = verify_suite(variant_suite(tmp_path), folder, fast=True)
    assert (found.kind, found.where, found.level) == ("variant", "other", "note")
