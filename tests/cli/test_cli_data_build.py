from __future__ import annotations

import json

import pytest
from PIL import Image

from ifambench.suites.catalog import load_suite
from tests.data.bird_files import write_birds, write_suite


@pytest.fixture
def birds(tmp_path):
    return write_birds(tmp_path / "data"), write_suite(tmp_path / "suites")


@pytest.fixture
def places(tmp_path):
    folders = [tmp_path / "places" / name for name in ("land", "water")]
    for folder, colour in zip(folders, ("green", "blue"), strict=True):
        folder.mkdir(parents=True)
        for k in range(5):
            Image.new("RGB", (60, 40), colour).save(folder / f"{k}.jpg")
    return folders


def test_build_swap_writes_a_suite_that_validate_takes(cli, birds, tmp_path):
    folder, suite = birds
    found = cli(
        *("data", "build-swap", suite, "--out", tmp_path / "new", "--data-dir", folder.parent),
        *("--variants", "only_fg, mixed_next", "--fill", "inpaint", "--seed", 3),
        *("--pair-by", "attribute:place", "--format", "json"),
    )
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told["images"] == {"original": 48, "only_fg": 16, "mixed_next": 16}
    assert len(told["pairing_sha256"]) == 64
    again = cli("validate", tmp_path / "new" / "suite.toml", "--data-dir", tmp_path / "new")
    assert again.code == 0, again.out
    made = load_suite(str(tmp_path / "new" / "suite.toml")).suite
    assert made.protocol["standard"].variants == ["original", "only_fg", "mixed_next"]


def test_a_small_build_passes_validate(cli, tmp_path):
    """No more images are explained than there are."""
    words = ("--size", 200, "--variants", "only_fg", "--out", tmp_path / "small")
    assert cli("data", "build-swap", "waterdigits", *words).code == 0
    file = tmp_path / "small" / "suite.toml"
    again = cli("validate", file, "--data-dir", file.parent)
    assert again.code == 0, again.out
    assert load_suite(str(file)).suite.protocol["standard"].explain.images == 80


def test_build_waterbirds_refuses_places_that_are_not_there(cli, birds, places, tmp_path):
    shown = cli(
        *("data", "build-waterbirds", "--objects", birds[1], "--out", tmp_path / "new"),
        *("--places", places[0], tmp_path / "nowhere"),
    )
    assert shown.code == 2
    assert "--places" in shown.err
    assert not (tmp_path / "new").exists()


def test_build_swap_refuses_what_is_there(cli, birds, tmp_path):
    folder, suite = birds
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("")
    found = cli(
        *("data", "build-swap", suite, "--out", tmp_path / "new", "--data-dir", folder.parent)
    )
    assert found.code == 2
    assert "--out" in found.err


def test_build_waterbirds_from_a_suite(cli, birds, places, tmp_path):
    folder, suite = birds
    asked = [
        *("data", "build-waterbirds", "--objects", suite, "--places", *places),
        *("--out", tmp_path / "new", "--data-dir", folder.parent, "--correlation", "0.75"),
    ]
    few = cli(*asked)
    assert few.code == 3
    assert "--reuse-places" in few.err
    found = cli(*asked, "--reuse-places", "--format", "json")
    assert found.code == 0, found.err
    groups = json.loads(found.out)["groups"]
    assert groups["train"] == {
        **{"landbird_on_land": 9, "landbird_on_water": 3},
        **{"waterbird_on_land": 3, "waterbird_on_water": 9},
    }
    again = cli("validate", tmp_path / "new" / "suite.toml", "--data-dir", tmp_path / "new")
    assert again.code == 0, again.out


def test_build_waterbirds_names_a_table_that_is_missing(cli, places, tmp_path):
    (tmp_path / "cub").mkdir()
    found = cli(
        *("data", "build-waterbirds", "--objects", tmp_path / "cub", "--places", *places),
        *("--out", tmp_path / "new"),
    )
    assert found.code == 3
    assert "images.txt" in found.err
