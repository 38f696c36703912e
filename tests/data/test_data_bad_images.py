"""Images that cannot be read are found before any work: stop at the first, or leave them out."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ifambench.data.bad_images import readable_rows
from ifambench.data.images import View
from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from tests.data.bird_files import bird_suite, write_birds


class Counting(Progress):
    """Counts steps of a phase."""

    def __init__(self):
        self.phase, self.steps = "", {}

    def start(self, phase, total):
        self.phase = phase
        self.steps[phase] = 0

    def advance(self, steps=1, note=""):
        self.steps[self.phase] += steps


def cut(path):
    """Cut off the end: the header stays whole."""
    path.write_bytes(path.read_bytes()[:-40])


@pytest.fixture
def birds(tmp_path):
    """Suite, data folder and rows."""
    write_birds(tmp_path / "data")
    suite = bird_suite(tmp_path)
    data = load_data(suite, data_dir=tmp_path / "data")
    return suite, data.pixels.root, data


def test_whole_images_are_all_kept(birds):
    suite, folder, data = birds
    progress = Counting()
    rows, bad = readable_rows(folder, data.manifest, View(32), progress, suite.source)
    assert bad == ()
    assert rows.equals(data.manifest)
    assert progress.steps == {"check images": len(rows)}


def test_a_truncated_image_and_a_damaged_mask_are_left_out(birds):
    suite, folder, data = birds
    first, second = data.manifest.iloc[3], data.manifest.iloc[-2]
    cut(folder / first["path"])
    (folder / second["mask"]).write_bytes(b"no image")
    rows, bad = readable_rows(folder, data.manifest, View(32), Progress(), suite.source)
    assert bad == (first["path"], second["path"])
    assert set(data.manifest["id"]) - set(rows["id"]) == {first["id"], second["id"]}
    assert list(rows.index) == list(range(len(rows)))


def test_a_missing_file_is_no_damage(birds):
    suite, folder, data = birds
    (folder / data.manifest["path"].iloc[0]).unlink()
    with pytest.raises(EnvironmentProblem, match="missing"):
        readable_rows(folder, data.manifest, View(32), Progress(), suite.source)


def test_loading_stops_at_a_bad_image_or_lists_it(birds, tmp_path):
    suite, folder, data = birds
    path = data.manifest["path"].iloc[5]
    (folder / path).write_bytes(b"")
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(suite, data_dir=tmp_path / "data")
    assert caught.value.where == str(folder / path)
    left = load_data(suite, data_dir=tmp_path / "data", on_bad="skip")
    assert left.skipped == (path,)
    assert len(left.manifest) == len(data.manifest) - 1
    assert left.digest != data.digest
    assert left.pixels.images(left.manifest).shape[0] == len(left.manifest)


def test_without_bad_images_nothing_differs(birds, tmp_path):
    suite, _, data = birds
    skipping = load_data(suite, data_dir=tmp_path / "data", on_bad="skip")
    assert skipping.skipped == ()
    assert skipping.digest == data.digest
    assert np.array_equal(
        skipping.pixels.images(skipping.manifest), data.pixels.images(data.manifest)
    )


def test_an_image_of_another_kind_is_bad(birds):
    suite, folder, data = birds
    path = folder / data.manifest["path"].iloc[1]
    Image.fromarray(np.ones((8, 8), np.float32)).save(path, format="TIFF")
    bad = readable_rows(folder, data.manifest, View(32), Progress(), suite.source)[1]
    assert bad == (data.manifest["path"].iloc[1],)


def test_a_group_that_would_become_empty_is_an_error(birds, tmp_path):
    _, folder, data = birds
    suite = data.suite
    lost = data.manifest[
        data.manifest["split"].eq("val") & data.manifest["group"].eq(suite.groups.names[1])
    ]
    for path in lost["path"]:
        cut(folder / path)
    with pytest.raises(EnvironmentProblem, match=suite.groups.names[1]):
        load_data(suite, data_dir=tmp_path / "data", on_bad="skip")


def test_a_broken_file_of_a_variant_is_left_out_alone(tmp_path):
    write_birds(tmp_path / "data")
    variant = '[[variant]]\nid = "other"\nimages = "others"\n\n[splits]'
    suite = bird_suite(tmp_path, ("[splits]", variant))
    folder = tmp_path / "data" / "tinybirds"
    shutil.copytree(folder / "images", folder / "others")
    asked = {"data_dir": tmp_path / "data", "variants": ["original", "other"]}
    whole = load_data(suite, **asked)
    path = whole.rows("test")["path"].iloc[0].removeprefix("images/")
    cut(folder / "others" / path)
    left = load_data(suite, **asked, on_bad="skip")
    assert len(left.skipped) == 1
    assert left.skipped[0].startswith("other/")
    assert left.skipped[0].endswith(path)
    assert len(left.rows("test")) == 16
    assert len(left.rows("test", "other")) == 15


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b"no image")])
def test_every_kind_of_damage_to_a_variant_can_be_skipped(damage, tmp_path):
    write_birds(tmp_path / "data")
    variant = '[[variant]]\nid = "other"\nimages = "others"\n\n[splits]'
    suite = bird_suite(tmp_path, ("[splits]", variant))
    folder = tmp_path / "data" / "tinybirds"
    shutil.copytree(folder / "images", folder / "others")
    asked = {"data_dir": tmp_path / "data", "variants": ["original", "other"]}
    damage(folder / load_data(suite, **asked).rows("test", "other")["path"].iloc[0])
    left = load_data(suite, **asked, on_bad="skip")
    assert len(left.skipped) == 1
    assert len(left.rows("test", "other")) == 15


def test_a_missing_file_with_an_odd_name_is_no_damage(tmp_path):
    rows = pd.DataFrame({"path": ["a#b:1.png"], "mask": [""]})
    with pytest.raises(EnvironmentProblem, match="missing"):
        readable_rows(tmp_path, rows, View(8), Progress())
