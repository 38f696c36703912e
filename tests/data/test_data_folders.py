from __future__ import annotations

from pathlib import Path

import pytest

from ifambench.data.folders import data_root, data_state, find_data_folder, has_masks
from ifambench.data.images import View
from ifambench.data.load import check_files, load_data
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.catalog import load_suite
from tests.data.bird_files import bird_suite, write_birds
from tests.data.file_suites import file_suite, write_image


@pytest.fixture(autouse=True)
def _no_data(tmp_path, monkeypatch):
    """No folder of this machine is looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IFAMBENCH_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "user"))


@pytest.fixture
def suite(tmp_path):
    return bird_suite(tmp_path / "suites")


def test_the_option_is_above_the_variable_the_variable_above_the_file(tmp_path, monkeypatch):
    assert data_root() == tmp_path / "user" / "ifambench"
    Path("ifambench.toml").write_text('data = "of-the-file"')
    assert data_root() == Path("of-the-file")
    monkeypatch.setenv("IFAMBENCH_DATA", "of-the-variable")
    assert data_root() == Path("of-the-variable")
    assert data_root(Path("given")) == Path("given")


def test_every_place_is_found(tmp_path, suite, monkeypatch):
    folder = write_birds(tmp_path / "user" / "ifambench")
    assert find_data_folder(suite) == folder
    assert data_state(suite) == ("found", folder)
    moved = folder.rename(tmp_path / "tiny_birds")  # the second name in the suite file
    assert data_state(suite) == ("not found", None)
    assert find_data_folder(suite, tmp_path) == moved
    assert find_data_folder(suite, moved) == moved
    monkeypatch.setenv("IFAMBENCH_DATA", str(tmp_path))
    assert find_data_folder(suite) == moved
    assert load_data(suite, splits=["val"]).rows("val").shape[0] == 8


def test_what_is_missing_is_said_with_all_places_and_what_to_do(tmp_path, suite):
    with pytest.raises(EnvironmentProblem) as caught:
        find_data_folder(suite, tmp_path / "data")
    where = str(caught.value.where)
    for name in ("data/tinybirds/metadata.csv", "data/tiny_birds/metadata.csv"):
        assert str(tmp_path / name) in where
    assert "https://example.org/birds" in str(caught.value.next_step)
    assert "--data-dir" in str(caught.value.next_step)


def test_a_folder_without_its_table_is_named(tmp_path, suite):
    folder = write_birds(tmp_path)
    (folder / "metadata.csv").unlink()
    with pytest.raises(EnvironmentProblem, match="is there, but has no metadata"):
        find_data_folder(suite, tmp_path)


def test_the_mark_of_a_suite_may_be_a_folder(tmp_path):
    suite = file_suite(
        {"reader": "image_folder", "patterns": [{"path": "train/{y}/{name}", "split": "test"}]},
        ["a", "b"],
        {"test": 0},
    )
    with pytest.raises(EnvironmentProblem) as caught:
        find_data_folder(suite, tmp_path)
    assert str(tmp_path / "mini" / "train") in str(caught.value.where)
    write_image(tmp_path / "mini/train/a/1.jpg")
    assert find_data_folder(suite, tmp_path) == tmp_path / "mini"
    assert find_data_folder(suite, tmp_path / "mini") == tmp_path / "mini"


@pytest.mark.parametrize(("kind", "told"), [("http", True), ("gdrive", True), ("manual", False)])
def test_what_can_be_fetched_is_said(kind, told, tmp_path):
    how = {"instructions": "ask"} if kind == "manual" else {"urls": ["https://example.org/a.zip"]}
    suite = file_suite(
        {"reader": "cub", "homepage": "https://example.org"},
        ["a", "b"],
        {"test": 0},
        download=[{"name": "a.zip", "kind": kind, **how}],
    )
    with pytest.raises(EnvironmentProblem) as caught:
        find_data_folder(suite, tmp_path)
    assert ("ifambench data fetch mini" in str(caught.value.next_step)) is told
    assert "https://example.org" in str(caught.value.next_step)


def test_masks_of_a_pattern_may_be_absent_too(tmp_path):
    source = {
        "reader": "image_folder",
        "patterns": [{"path": "val/{y}/{name}", "split": "test"}],
        "mask_pattern": "fg_mask/val/{y}/{name}.npy",
        "mask_format": "npy",
    }
    needed = file_suite(source, ["a", "b"], {"test": 0})
    optional = file_suite({**source, "masks_optional": True}, ["a", "b"], {"test": 0})
    assert has_masks(needed, tmp_path)
    assert not has_masks(optional, tmp_path)
    (tmp_path / "fg_mask/val").mkdir(parents=True)
    assert has_masks(optional, tmp_path)


def test_masks(tmp_path, suite):
    folder = write_birds(tmp_path)
    assert has_masks(suite, folder)
    assert has_masks(load_suite("waterdigits").suite)
    change = ('masks = "masks"', 'masks = "segmentations"\nmasks_optional = true')
    optional = bird_suite(tmp_path / "optional", change)
    assert not has_masks(optional, folder)
    (folder / "masks").rename(folder / "segmentations")
    assert has_masks(optional, folder)
    assert has_masks(suite, folder), "masks that belong to the data are missed later, by name"
    assert not has_masks(bird_suite(tmp_path / "none", ('masks = "masks"\n', "")), folder)


def test_files_can_be_checked_without_reading_them(tmp_path, suite):
    folder = write_birds(tmp_path)
    check_files(suite, tmp_path)
    check_files(load_suite("waterdigits").suite)
    (folder / "images/008.Rhinoceros_Auklet/Bird_0047.jpg").unlink()
    with pytest.raises(EnvironmentProblem, match="1 of 96 files"):
        check_files(suite, tmp_path)


def test_generated_images_have_one_size(suite):
    digits = load_suite("waterdigits").suite
    assert data_state(digits) == ("generated", None)
    assert load_data(digits, "200", ["val"], view=View(64)).rows("val").shape[0] == 40
    with pytest.raises(UsageError, match="drawn with 64 pixels, the model takes 224"):
        load_data(digits, "200", ["val"], view=View(224))
