from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from ifambench.data.images import View
from ifambench.data.load import load_data
from ifambench.data.swap.fills import largest_strip
from ifambench.data.swap.shapes import bounding_box
from ifambench.errors import EnvironmentProblem, UsageError
from tests.data.bird_files import bird_suite, write_birds

VARIANTS = """
[[pool]]
name = "places"
folders = ["places"]
categories = { landbird = "forest", waterbird = "sea" }

[[variant]]
id = "only_fg"
kind = "background_swap"
swap = "only_fg"

[[variant]]
id = "next_tile"
kind = "background_swap"
swap = "mixed_next"
fill = "tile"

[[variant]]
id = "same_place"
kind = "background_swap"
swap = "mixed_same"
fill = "external"
pool = "places"

[[variant]]
id = "moved"
kind = "background_swap"
swap = "mixed_rand"
fill = "inpaint"
placement = "random"
seed = 4

[[variant]]
id = "grey_object"
kind = "ablation"
region = "object"
replace = "grey"

[[variant]]
id = "noisy_background"
kind = "ablation"
region = "background"
replace = "noise"

[[variant]]
id = "tiled"
kind = "ablation"
region = "box"
replace = "tile"

[[variant]]
id = "written"
kind = "watermark"
text = "iii"

[[variant]]
id = "redder"
images = "red"

[[variant]]
id = "some"
path = "some/{id}.png"
subset = true

[[variant]]
id = "strangers"
path = "strangers/{y}_{place}_{id}.png"
aligned = false

[protocol.standard]
"""
NAMES = [
    *("only_fg", "next_tile", "same_place", "moved", "grey_object", "noisy_background"),
    *("tiled", "written", "redder", "some", "strangers"),
]
SWAPS = NAMES[:4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_birds(tmp_path_factory.mktemp("data"))
    for path in sorted((folder / "images").rglob("*.jpg")):
        with Image.open(path) as image:
            other = folder / "red" / path.relative_to(folder / "images")
            other.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", image.size, "red").save(other)
    for name, files in {
        "places/forest": ["a.png", "b.jpg"],
        "places/sea": ["a.png"],
        "some": ["35.png", "36.png", "1000.png"],
        "strangers": ["landbird_water_1.png", "waterbird_water_x.png"],
    }.items():
        for file in files:
            (folder / name).mkdir(parents=True, exist_ok=True)
            colour = (0, 200, 0) if "forest" in name else (0, 0, 200)
            Image.new("RGB", (70, 50), colour).save(folder / name / file)
    return folder


def suite_with(tmp_path, *changes):
    return bird_suite(tmp_path, ("[protocol.standard]\n", VARIANTS), *changes)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return suite_with(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def data(folder, suite):
    return load_data(suite, data_dir=folder.parent, variants=NAMES)


def pixels_of(data, name):
    return data.pixels.images(data.rows("test", name))


def originals_of(data, name):
    """Images and masks of the originals of a variant's rows."""
    rows = data.rows("test").set_index("id", drop=False).loc[data.rows("test", name)["id"]]
    return data.pixels.images(rows), data.pixels.masks(rows)


def test_only_the_original_is_there_unless_more_is_asked_for(folder, suite, data):
    alone = load_data(suite, data_dir=folder.parent)
    assert set(alone.manifest["variant"]) == {"original"}
    assert alone.digest != data.digest
    assert alone.rows("train").equals(data.rows("train"))
    assert set(data.manifest["variant"]) == {"original", *NAMES}


def test_variants_are_of_the_test_split_and_have_its_ids(data):
    altered = data.manifest[data.manifest["variant"] != "original"]
    assert set(altered["split"]) == {"test"}
    for name in (*SWAPS, "grey_object", "tiled", "written", "redder"):
        rows, wanted = data.rows("test", name), data.rows("test")
        columns = ["id", "y", "group", "a_place", "mask"]
        assert rows[columns].equals(wanted[columns])


@pytest.mark.parametrize("name", ["only_fg", "next_tile", "same_place"])
def test_the_object_is_bit_exact(name, data):
    images, masks = originals_of(data, name)
    assert (pixels_of(data, name)[masks] == images[masks]).all()


def test_the_table_names_object_and_background_of_each_row(data):
    rows = data.rows("test", "next_tile")
    label = data.rows("test").set_index("id")["y"]
    assert (rows["fg_id"] == rows["id"]).all()
    assert (label.loc[rows["bg_id"]].to_numpy() == 1 - rows["y"]).all()
    assert list(data.tables) == SWAPS
    assert data.tables["next_tile"].count("\n") == 17


def test_a_tile_is_a_repeated_strip_of_the_background_image(data):
    rows = data.rows("test", "next_tile")
    by_id = data.rows("test").set_index("id", drop=False)
    behind = data.pixels.images(by_id.loc[rows["bg_id"]])
    their_masks = data.pixels.masks(by_id.loc[rows["bg_id"]])
    own = data.pixels.masks(rows)
    for shown, back, hole, mask in zip(
        pixels_of(data, "next_tile"), behind, their_masks, own, strict=True
    ):
        box = bounding_box(hole)
        strip = back[largest_strip(32, box).slices]
        y, x = box.top, box.left
        if not mask[y, x]:
            assert (shown[y, x] == strip[0, 0]).all()
        outside = ~mask
        outside[box.slices] = False
        assert (shown[outside] == back[outside]).all()


def test_a_pool_below_the_suites_folder_gives_backgrounds_by_class(data):
    _, masks = originals_of(data, "same_place")
    for image, mask, y in zip(
        pixels_of(data, "same_place"), masks, data.rows("test", "same_place")["y"], strict=True
    ):
        assert np.abs(image[~mask].mean(axis=0) - ((0, 0, 200) if y else (0, 200, 0))).max() < 2


def test_a_moved_object_takes_its_mask_along(data):
    images, masks = originals_of(data, "moved")
    rows = data.rows("test", "moved")
    for shown, at, image, mask in zip(
        pixels_of(data, "moved"), data.pixels.masks(rows), images, masks, strict=True
    ):
        assert at.sum() == mask.sum()
        assert (shown[at] == image[mask]).all()
    assert (data.pixels.masks(rows) != masks).any()


def test_an_ablated_region_is_altered_and_nothing_else(data):
    images, masks = originals_of(data, "grey_object")
    grey = pixels_of(data, "grey_object")
    assert (grey[masks] == 128).all()
    assert (grey[~masks] == images[~masks]).all()
    noisy = pixels_of(data, "noisy_background")
    assert (noisy[masks] == images[masks]).all()
    inside = (images > 100) & (images < 156) & ~masks[..., None]  # seldom clipped
    spread = (noisy.astype(float) - images)[inside]
    assert abs(spread.std() - 0.25 * 255) < 5
    assert abs(spread.mean()) < 5


def test_a_box_is_tiled_over(data):
    images, masks = originals_of(data, "tiled")
    for shown, image, mask in zip(pixels_of(data, "tiled"), images, masks, strict=True):
        box = bounding_box(mask)
        strip = image[largest_strip(32, box).slices]
        assert (shown[box.top, box.left] == strip[0, 0]).all()
        outside = np.ones_like(mask)
        outside[box.slices] = False
        assert (shown[outside] == image[outside]).all()


def test_a_watermark_is_white_and_translucent(data):
    images, _ = originals_of(data, "written")
    change = pixels_of(data, "written").astype(int) - images
    assert (change >= -1).all()
    assert (change > 20).any()
    assert (np.abs(change) <= 1).mean() > 0.5
    assert any("Pillow's own font" in text for text in data.warnings)


def test_other_files_have_the_same_paths_or_ids(data):
    assert (np.abs(pixels_of(data, "redder").astype(int) - (254, 0, 0)) < 3).all()
    assert data.rows("test", "some")["id"].tolist() == ["35", "36"]
    assert (pixels_of(data, "some") == (0, 0, 200)).all()
    assert "variant some: 2 images, the original has 16" in data.warnings


def test_images_without_originals_have_their_own_ids_and_no_mask(data):
    rows = data.rows("test", "strangers")
    assert rows["group"].tolist() == ["landbird_on_water", "waterbird_on_water"]
    assert not set(rows["id"]) & set(data.rows("test")["id"])
    assert (rows["mask"] == "").all()
    assert pixels_of(data, "strangers").shape == (2, 32, 32, 3)


def test_pixels_depend_on_neither_batch_nor_order_nor_workers(data, folder, suite, monkeypatch):
    rows = data.manifest[data.manifest["split"] == "test"].sample(60, random_state=0)
    together = data.pixels.images(rows)
    monkeypatch.setattr("ifambench.data.files._MAX_THREADS", 1)
    again = load_data(suite, data_dir=folder.parent, variants=NAMES[::-1])
    for position in range(0, 60, 7):
        alone = again.pixels.images(rows.iloc[[position]])[0]
        assert (alone == together[position]).all()
    assert again.digest == data.digest
    assert again.tables == data.tables


def test_the_pairing_does_not_depend_on_the_model(data, folder, suite):
    larger = load_data(suite, data_dir=folder.parent, variants=NAMES, view=View(48, 0.9, "bicubic"))
    assert larger.tables == data.tables
    assert pixels_of(larger, "moved").shape == (16, 48, 48, 3)
    images, masks = originals_of(larger, "next_tile")
    assert (pixels_of(larger, "next_tile")[masks] == images[masks]).all()


def test_masks_that_forbid_a_swap_are_counted(folder, tmp_path, suite):
    copy = tmp_path / "tinybirds"
    shutil.copytree(folder, copy)
    data = load_data(suite, data_dir=tmp_path)
    mask = copy / data.rows("test")["mask"].iloc[0]
    with Image.open(mask) as image:
        blank = Image.new("L", image.size)
    blank.save(mask)
    data = load_data(suite, data_dir=tmp_path, variants=SWAPS)
    assert len(data.rows("test", "only_fg")) == 15
    assert data.warnings == ("no background swap of 1 with an empty mask, of 16 images",)


def test_a_published_pairing_is_checked(folder, tmp_path):
    change = ('swap = "mixed_next"', f'swap = "mixed_next"\nmanifest_sha256 = "{"0" * 64}"')
    wrong = suite_with(tmp_path / "wrong", change)
    with pytest.raises(EnvironmentProblem, match="not the published one") as caught:
        load_data(wrong, data_dir=folder.parent, variants=["next_tile"])
    found = caught.value.what.split("sha256 ")[1][:64]
    right = suite_with(tmp_path / "right", (change[0], change[1].replace("0" * 64, found)))
    assert load_data(right, data_dir=folder.parent, variants=["next_tile"])
    assert load_data(wrong, "20", data_dir=folder.parent, variants=["next_tile"])


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        (('images = "red"', 'images = "blue"'), "redder", "16 images of variant"),
        (('path = "some/{id}.png"', 'path = "none/{id}.png"'), "some", "no file is of the form"),
        (('folders = ["places"]', 'folders = ["else"]'), "same_place", "are not on this machine"),
        (('text = "iii"', 'text = "捷径"'), "written", "the font"),
    ],
)
def test_what_is_missing_is_named(change, name, text, folder, tmp_path):
    with pytest.raises(EnvironmentProblem, match=text):
        load_data(suite_with(tmp_path, change), data_dir=folder.parent, variants=[name])


def test_an_unknown_variant_is_refused(folder, suite):
    with pytest.raises(UsageError, match="mixed_up"):
        load_data(suite, data_dir=folder.parent, variants=["mixed_up"])


def test_a_category_that_is_no_class_is_refused(folder, tmp_path):
    change = ("landbird = ", "duck = ")
    with pytest.raises(UsageError, match='"duck"'):
        load_data(suite_with(tmp_path, change), data_dir=folder.parent, variants=["same_place"])


def test_a_pool_of_another_split_is_refused(folder, tmp_path):
    change = ('folders = ["places"]', 'folders = ["places"]\nsplits = ["val"]')
    with pytest.raises(UsageError, match="not for split test"):
        load_data(suite_with(tmp_path, change), data_dir=folder.parent, variants=["same_place"])


def test_without_the_quality_filter_every_visible_object_is_kept(folder, tmp_path):
    copy = tmp_path / "tinybirds"
    shutil.copytree(folder, copy)
    text = VARIANTS.replace('swap = "only_fg"\n', 'swap = "only_fg"\nquality_filter = false\n')
    suite = bird_suite(tmp_path / "s", ("[protocol.standard]\n", text))
    paths = load_data(suite, data_dir=tmp_path).rows("test")["mask"]
    for path, dot in zip(paths, (True, False), strict=False):
        with Image.open(copy / path) as image:
            shape = Image.new("L", image.size)
        if dot:
            shape.paste(255, (25, 25, 29, 29))
        shape.save(copy / path)
    data = load_data(suite, data_dir=tmp_path, variants=["original", "only_fg", "next_tile"])
    assert len(data.rows("test", "only_fg")) == 15  # but the empty one
    assert len(data.rows("test", "next_tile")) == 14
    assert "no background swap of 1 with an empty mask, of 16 images" in data.warnings
    assert pixels_of(data, "only_fg").shape == (15, 32, 32, 3)
