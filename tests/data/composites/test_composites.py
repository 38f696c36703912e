from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from ifambench.data.composites.assign import assign_photos, assign_places
from ifambench.data.composites.build import COLUMNS, Composition, build_waterbirds
from ifambench.data.composites.objects import (
    SPLITS,
    Object,
    Objects,
    cub_objects,
    opacity,
    suite_objects,
)
from ifambench.data.composites.paste import composed
from ifambench.data.composites.species import is_waterbird
from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite
from tests.data.bird_files import bird_suite, write_birds

SPECIES = ("001.Black_footed_Albatross", "021.Eastern_Towhee", "141.Artic_Tern", "200.Wren")


@pytest.fixture
def cub(tmp_path):
    """CUB's layout: tables with blanks, soft masks, and files that no table names."""
    folder = tmp_path / "CUB_200_2011"
    files, split = [], []
    for k in range(32):
        name = f"{SPECIES[k % 4]}/Bird_{k:04d}.jpg"
        files.append(f"{k + 1} {name}\n")
        split.append(f"{k + 1} {int(k < 20)}\n")
        size = (40, 30) if k % 2 else (30, 44)
        mask = Image.radial_gradient("L").point(lambda v: 255 - v).resize(size)
        for picture, path in (
            (Image.new("RGB", size, "red"), folder / "images" / name),
            (mask, (folder / "segmentations" / name).with_suffix(".png")),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (folder / "images.txt").write_text("".join(files))
    (folder / "train_test_split.txt").write_text("".join(split))
    (folder / "images" / SPECIES[0] / "._stray.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def places(tmp_path):
    found = []
    for place, colour in (("land", "green"), ("water", "blue")):
        for k in range(20):
            path = tmp_path / place / ("ab"[k % 2]) / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20 + 3 * k, 50), colour).save(path)
        found.append(tmp_path / place)
    return tuple(found)


def composition(cub, places, out, **changes):
    objects = cub_objects(cub, cub / "segmentations", changes.get("seed", 0))
    return Composition(objects=objects, places=places, out=out, **changes)


def objects_like(n_train, n_test=10):
    splits = ["train"] * (2 * n_train) + ["test"] * (2 * n_test)
    return [Object(str(k), f"{k}", k % 2, split, None, "") for k, split in enumerate(splits)]


def test_the_official_rule_finds_terns_where_none_are():
    noisy = ("Eastern_Towhee", "Western_Meadowlark", "Western_Wood_Pewee")
    assert all(is_waterbird(name) for name in noisy)
    assert not any(is_waterbird(name, exact=True) for name in noisy)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("species", "water"),
    [
        *[(name, True) for name in ("Artic_Tern", "141.Artic_Tern", "Pacific_Loon", "Gadwall")],
        *[(name, True) for name in ("Red_legged_Kittiwake", "Pigeon_Guillemot")],
        *[(name, False) for name in ("Carolina_Wren", "Loggerhead_Shrike", "Green_Kingfisher")],
    ],
)
def test_both_rules_agree_on_all_others(species, water, exact):
    assert is_waterbird(species, exact=exact) is water


@pytest.mark.parametrize("correlation", [0.95, 0.5, 1.0, 0.0])
def test_the_share_on_the_own_place_is_the_chosen_one(correlation):
    items = objects_like(100)
    place = assign_places(items, correlation, 3)
    for split, share in (("train", correlation), ("test", 0.5)):
        for y in (0, 1):
            own = [
                p == y
                for p, item in zip(place, items, strict=True)
                if (item.split, item.y) == (split, y)
            ]
            assert np.mean(own) == pytest.approx(share)


def test_a_photo_stands_behind_one_object():
    items = objects_like(30)
    place = assign_places(items, 0.9, 0)
    names = [[f"{p}-{k}" for k in range(60)] for p in (0, 1)]
    chosen = assign_photos(items, place, names, 0)
    assert len(set(chosen)) == len(items)
    assert all(name.startswith(str(p)) for name, p in zip(chosen, place, strict=True))


@pytest.mark.parametrize("photos", [3, 7, 25])
def test_shared_photos_stay_within_a_split(photos):
    items = [*objects_like(30), *(Object(f"v{k}", "", k % 2, "val", None, "") for k in range(8))]
    place = assign_places(items, 0.9, 0)
    names = [[f"{p}-{k}" for k in range(photos)] for p in (0, 1)]
    with pytest.raises(EnvironmentProblem, match="too few"):
        assign_photos(items, place, names, 0)
    chosen = assign_photos(items, place, names, 0, reuse=True)
    used = {
        split: {name for name, item in zip(chosen, items, strict=True) if item.split == split}
        for split in SPLITS
    }
    assert not used["train"] & used["test"]
    assert not used["train"] & used["val"]
    assert not used["val"] & used["test"]


def test_an_object_is_blended_by_its_soft_mask():
    image, place = np.full((2, 2, 3), 255, np.uint8), np.full((2, 2, 3), 255, np.uint8)
    alpha = np.array([[0.0, 1.0], [0.5, 0.25]])
    assert (composed(image, alpha, place) == 255).all()  # rounded once: no overflow
    place[:] = 0
    found = composed(image, alpha, place)[..., 0]
    assert found.tolist() == [[0, 255], [128, 64]]


def test_the_folder_has_the_official_table_and_a_suite(cub, places, tmp_path):
    out = tmp_path / "built"
    groups = build_waterbirds(composition(cub, places, out, correlation=0.75), Progress())
    with (out / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 32
    assert [sum(row["split"] == str(k) for row in rows) for k in range(3)] == [16, 4, 12]
    by_name = {row["img_filename"]: int(row["y"]) for row in rows}
    assert all(
        y == (name[:3] in ("001", "021", "141")) for name, y in by_name.items()
    )  # the towhee too, as published
    suite = load_suite(str(out / "suite.toml")).suite
    data = load_data(suite, data_dir=out)
    assert {split: data.rows(split)["group"].value_counts().to_dict() for split in SPLITS} == {
        split: {k: n for k, n in counts.items() if n} for split, counts in groups.items()
    }


def test_object_and_place_are_where_the_mask_says(cub, places, tmp_path):
    out = tmp_path / "built"
    build_waterbirds(composition(cub, places, out), Progress())
    with (out / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        with Image.open(out / "images" / row["img_filename"]) as image:
            pixels = np.asarray(image).astype(int)
        mask = (out / "masks" / row["img_filename"]).with_suffix(".png")
        with Image.open(mask) as image:
            alpha = np.asarray(image)
        assert alpha.shape == pixels.shape[:2]
        other = 2 if row["place"] == "1" else 1
        assert pixels[alpha > 230][:, 0].min() > 180
        assert pixels[alpha < 30][:, other].min() > 80
        assert row["place_filename"].startswith(("land/", "water/")[int(row["place"])])


def test_two_builds_are_equal_and_another_seed_is_not(cub, places, tmp_path, monkeypatch):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        if name == "b":
            monkeypatch.setattr("ifambench.data.files._MAX_THREADS", 1)
        build_waterbirds(composition(cub, places, tmp_path / name, seed=seed), Progress())
    tables = [(tmp_path / name / "metadata.csv").read_bytes() for name in "abc"]
    assert tables[0] == tables[1] != tables[2]
    for path in sorted((tmp_path / "a" / "images").rglob("*.jpg")):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


def test_the_exact_rule_leaves_towhees_on_land(cub):
    y = {
        exact: {
            item.y for item in cub_objects(cub, cub, 0, exact=exact).items if "Towhee" in item.file
        }
        for exact in (False, True)
    }
    assert y == {False: {1}, True: {0}}


def test_the_objects_of_a_suite_keep_their_classes_and_splits(places, tmp_path):
    birds, suite = write_birds(tmp_path / "data"), bird_suite(tmp_path / "suite")
    objects = suite_objects(suite, birds.parent, 0)
    assert objects.labels == ("landbird", "waterbird")
    out = tmp_path / "built"
    asked = Composition(objects=objects, places=places, out=out, reuse_places=True)
    groups = build_waterbirds(asked, Progress())
    assert {split: sum(counts.values()) for split, counts in groups.items()} == suite.splits


def test_a_mask_of_another_size_is_found(cub, places, tmp_path):
    name = f"{SPECIES[0]}/Bird_0000"
    Image.new("L", (9, 9)).save(cub / "segmentations" / f"{name}.png")
    with pytest.raises(EnvironmentProblem, match="the mask has 9 x 9 pixels"):
        build_waterbirds(composition(cub, places, tmp_path / "built"), Progress())
    assert not (tmp_path / "built").exists()


def test_suites_that_have_no_two_classes_of_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is drawn"):
        suite_objects(load_suite("waterdigits").suite, None, 0)


def test_a_folder_that_is_not_cub_is_refused(tmp_path):
    with pytest.raises(EnvironmentProblem, match="cannot read the table"):
        cub_objects(tmp_path, tmp_path, 0)


def test_a_mask_of_16_bits_is_no_brighter_than_one_of_8(tmp_path):
    levels = np.array([[0, 64, 128, 255]], np.uint8)
    Image.fromarray(levels).save(tmp_path / "8.png")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "16.png")
    objects = Objects(("a", "b"), tmp_path, None, ())
    read = [opacity(objects, Object("1", "1", 0, "train", tmp_path, f"{n}.png")) for n in (8, 16)]
    assert (read[0] == read[1]).all()
    assert (read[0] == levels / 255).all()
