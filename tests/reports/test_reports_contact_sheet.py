"""Which images a contact sheet shows, and in which columns."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ifambench.reports.contact_sheet import MAX_ROWS, contact_sheet, sheet_rows

COLUMNS = ["id", "split", "group", "variant", "mask"]


class Flat:
    """Pixels whose value tells the variant."""

    def images(self, rows):
        shades = rows["variant"].map(lambda name: len(name)).to_numpy(np.uint8)
        return np.broadcast_to(shades[:, None, None, None], (len(rows), 8, 8, 3)).copy()

    def masks(self, rows):
        mask = np.zeros((len(rows), 8, 8), bool)
        mask[:, 2:6, 2:6] = True
        return mask


@pytest.fixture
def data():
    def make(rows, groups=("a", "b"), variants=("original", "far", "near")):
        manifest = pd.DataFrame(rows, columns=COLUMNS)
        suite = SimpleNamespace(
            groups=SimpleNamespace(names=list(groups)), variants_in=lambda split: list(variants)
        )
        originals = manifest[manifest["variant"] == "original"]
        return SimpleNamespace(
            suite=suite, manifest=manifest, pixels=Flat(), rows=lambda split: originals
        )

    return make


def test_originals_come_first_then_the_mask_then_the_declared_variants(data):
    rows = [("1", "test", "a", name, "m.png") for name in ("near", "original", "far")]
    (row,) = sheet_rows(data(rows), "test", 3)
    assert (row.label, row.detail) == ("a", "1")
    assert list(row.pictures) == ["original", "true mask", "far", "near"]
    assert [row.pictures[name][0, 0, 0] for name in ("original", "far", "near")] == [8, 3, 4]
    assert (row.pictures["true mask"] == (255, 221, 51)).all(axis=-1).any()


def test_an_image_has_only_its_own_variants_and_masks(data):
    rows = [("1", "test", "a", "original", ""), ("2", "test", "b", "original", "")]
    rows += [("2", "test", "b", "near", "")]
    first, second = sheet_rows(data(rows), "test", 1)
    assert (list(first.pictures), list(second.pictures)) == (["original"], ["original", "near"])


def test_images_with_ids_of_their_own_get_their_own_rows(data):
    rows = [("1", "test", "a", "original", ""), ("x", "test", "a", "far", "")]
    shown = sheet_rows(data(rows), "test", 2)
    assert [(row.detail, list(row.pictures)) for row in shown] == [
        ("1", ["original"]),
        ("x", ["far"]),
    ]


def test_many_groups_are_thinned_out_evenly(data):
    groups = [f"g{k:03d}" for k in range(10 * MAX_ROWS)]
    rows = [(name, "test", name, "original", "") for name in groups]
    shown = [row.label for row in sheet_rows(data(rows, groups), "test", 2)]
    assert shown == groups[:: 10 * 2]


def test_long_names_do_not_run_into_the_pictures(data):
    rows = [("i" * 200, "test", "a", "original", "")]
    sheet = Image.open(io.BytesIO(contact_sheet(sheet_rows(data(rows), "test", 1))))
    pixels = np.asarray(sheet)
    assert sheet.size == (190 + 120 + 8, 26 + 120 + 8)
    assert (pixels[30:, 184:190] == 255).all()
    assert (pixels[30:, :184] < 200).any()
