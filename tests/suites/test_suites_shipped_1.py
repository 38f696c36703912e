"""Shipped suites read from miniatures in the layout of the real data."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from ifambench.data.images import View
from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.on_request import check_protocol
from ifambench.suites.catalog import load_suite
from ifambench.train.recipes import recipe_for
from tests.suites.miniatures import (
    celeba_hair,
    cub_waterbirds_ood,
    metashift,
    nicopp,
    oxford_pets_swap,
    spawrious,
    urbancars,
    waterbirds,
    waterbirds_cub50,
)
from tests.suites.miniatures.pictures import BLUE, GREEN, SIDE, YELLOW, disc

SPAWRIOUS = [f"spawrious-{k}-{d}" for k in ("o2o", "m2m") for d in ("easy", "medium", "hard")]
SUITES = [
    *("waterbirds", "waterbirds-cub50", "cub-waterbirds-ood", "celeba-hair", "urbancars", "nico++"),
    *("metashift-catdog-disc", "metashift-catdog-ifam", "oxford-pets-swap", *SPAWRIOUS),
]


def mini(name: str, root, *variants: str, changes: dict[str, str] | None = None):
    """What `load_data` finds in the miniature, in pictures of 32 pixels."""
    suite = load_suite(name)
    if changes:
        text = suite.path.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (root / f"{name}.toml").write_text(text, encoding="utf-8")
        suite = load_suite(str(root / f"{name}.toml"))
    asked = ("original", *variants)
    return load_data(suite.suite, "available", None, None, View(SIDE), root, asked)


def groups(data) -> dict[str, Counter]:
    """Images by group, per split."""
    originals = data.manifest[data.manifest["variant"] == "original"]
    return {split: Counter(part["group"]) for split, part in originals.groupby("split")}


def number(rows) -> list[int]:
    """The number k of each picture, the last one in its file name but for CUB's own."""
    return [int(path.rpartition("/")[2].split("_")[-2]) for path in rows["path"]]


@pytest.mark.parametrize("name", SUITES)
def test_the_file_is_complete(name):
    suite = load_suite(name).suite
    assert suite.citation
    assert suite.known_issues
    assert suite.source.how_to_get
    assert suite.download
    for item in suite.download:
        assert item.licence or item.kind == "manual"
    for protocol in suite.protocol:
        check_protocol(suite, protocol, name)
    for section in suite.recipe:
        assert recipe_for(suite, "", section)
    families = {"vit", "ifam", "pdiscoformer"}
    assert families <= set(suite.recipe)
    assert all(suite.recipe[family]["source"] for family in families)


@pytest.mark.parametrize("name", SUITES)
def test_counts_add_up(name):
    suite = load_suite(name).suite
    for split, expected in suite.expected.items():
        assert sum(expected.groups) == expected.n == suite.splits[split]


def test_waterbirds_and_the_rim_of_its_masks(tmp_path):
    waterbirds.write(tmp_path)
    data = mini("waterbirds", tmp_path)
    names = data.suite.groups.names
    assert groups(data) == {
        split: dict(zip(names, counts, strict=True)) for split, counts in waterbirds.COUNTS.items()
    }
    rows = data.rows("test")
    assert set(rows["bg_id"]) == set(waterbirds.PLACES)
    expected = np.array([disc(k) for k in number(rows)])
    np.testing.assert_array_equal(data.pixels.masks(rows), expected)


def test_waterbirds_without_masks(tmp_path):
    folder = waterbirds.write(tmp_path)
    (folder / "segmentations").rename(tmp_path / "elsewhere")
    assert set(mini("waterbirds", tmp_path).manifest["mask"]) == {""}


SWAPS = ("only_fg", "no_fg", "only_bg_t", "mixed_same", "mixed_other", "mixed_rand")


def test_cub50_has_natural_photos_of_some_birds_and_swaps_of_all(tmp_path):
    waterbirds_cub50.write(tmp_path)
    data = mini("waterbirds-cub50", tmp_path, "original_context", *SWAPS)
    rows = data.rows("test")
    natural = data.rows("test", "original_context")
    assert list(natural["id"]) == [name for name in rows["id"] if int(name) % 2 == 0]
    assert (natural["path"].str.startswith("original_context_test/")).all()
    for name in SWAPS:
        assert list(data.rows("test", name)["id"]) == list(rows["id"])
        assert data.rows("train", name).empty


def test_places_of_cub50_go_with_the_label(tmp_path):
    waterbirds_cub50.write(tmp_path)
    data = mini("waterbirds-cub50", tmp_path, *SWAPS)
    for name, kinds in (("mixed_same", "forest sea"), ("mixed_other", "sea forest")):
        rows = data.rows("test", name)
        wanted = [kinds.split()[y] for y in rows["y"]]
        assert [text.split(":")[1].split("/")[0] for text in rows["bg_id"]] == wanted
        ground = np.array([GREEN if kind == "forest" else BLUE for kind in wanted])
        corner = data.pixels.images(rows)[:, 0, 0].astype(int)
        assert (abs(corner - ground) < 30).all()
    behind = data.rows("test", "only_bg_t")
    assert (behind["bg_id"].str.contains("forest") == (behind["y"] == 0)).all()


def test_objects_of_cub50_stay_as_they_are(tmp_path):
    waterbirds_cub50.write(tmp_path)
    data = mini("waterbirds-cub50", tmp_path, *SWAPS)
    rows = data.rows("test")
    images, masks = data.pixels.images(rows), data.pixels.masks(rows)
    for name in ("only_fg", "mixed_same", "mixed_other", "mixed_rand"):
        swapped = data.pixels.images(data.rows("test", name))
        np.testing.assert_array_equal(swapped[masks], images[masks])
    assert not data.pixels.images(data.rows("test", "only_fg"))[~masks].any()
    assert not data.pixels.images(data.rows("test", "no_fg"))[masks].any()


def test_the_standard_protocol_of_cub50_is_what_its_records_were_made_with():
    suite = load_suite("waterbirds-cub50").suite
    standard = suite.protocol["standard"]
    assert suite.major == 1
    assert (standard.selection, standard.variants) == ("best_val_accuracy", ["original"])
    assert standard.metrics == {}
    assert standard.primary == "worst_group_accuracy"
    assert suite.source.reader == load_suite("waterbirds").suite.source.reader


def test_cub_reads_its_tables_and_not_its_folders(tmp_path):
    cub_waterbirds_ood.write(tmp_path)
    data = mini("cub-waterbirds-ood", tmp_path, "waterbirds")
    assert not data.manifest["path"].str.contains("_rgb").any()
    species = len(cub_waterbirds_ood.SPECIES)
    assert groups(data) == {
        "train": {"all": species * (cub_waterbirds_ood.TRAIN - 1)},
        "val": {"all": species},
        "test": {"all": species * cub_waterbirds_ood.TEST},
    }
    assert sorted(set(data.rows("test")["y"])) == [0, 1, 199]
    photos, composites = data.rows("test"), data.rows("test", "waterbirds")
    assert list(photos["id"]) == list(composites["id"])
    assert list(photos["y"]) == list(composites["y"])
    corner = data.pixels.images(composites)[:, 0, 0].astype(int)
    blue = [k % 2 == 1 for k in number(photos)]
    assert [bool(pixel[2] > pixel[1]) for pixel in corner] == blue
    np.testing.assert_array_equal(
        data.pixels.masks(photos), np.array([disc(k) for k in number(photos)])
    )


@pytest.mark.parametrize("csv", [False, True])
def test_celeba_as_its_authors_or_kaggle_have_it(tmp_path, csv):
    celeba_hair.write(tmp_path, csv=csv)
    data = mini("celeba-hair", tmp_path)
    names = data.suite.groups.names
    assert groups(data) == {
        split: dict(zip(names, counts, strict=True)) for split, counts in celeba_hair.COUNTS.items()
    }
    blond = data.rows("test").query("group == 'blond_male'")
    assert (abs(data.pixels.images(blond)[:, 16, 16].astype(int) - YELLOW) < 30).all()
    assert data.suite.attributes["sex"].sensitive


def test_a_table_with_several_names_is_found_by_its_images(tmp_path):
    (tmp_path / "celeba" / "img_align_celeba").mkdir(parents=True)
    with pytest.raises(EnvironmentProblem, match="cannot read the table") as caught:
        mini("celeba-hair", tmp_path)
    assert "list_" in str(caught.value.where)
    text = load_suite("celeba-hair").path.read_text(encoding="utf-8")
    file = tmp_path / "suite.toml"
    file.write_text(text.replace('images = "img_align_celeba"', ""), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        load_suite(str(file))
    assert "other_forms needs images" in str(refused.value.where)


def test_metashift_leaves_out_the_dogs_of_other_experiments(tmp_path):
    metashift.write(tmp_path)
    data = mini("metashift-catdog-disc", tmp_path)
    train = {"cat_sofa": 3, "cat_bed": 4, "dog_bench": 2, "dog_bike": 5}
    val, test = {"cat_shelf": 1, "dog_shelf": 2}, {"cat_shelf": 6, "dog_shelf": 11}
    assert groups(data) == {"train": train, "val": val, "test": test}
    every = mini("metashift-catdog-ifam", tmp_path)
    assert groups(every) == {"train": train, "test": {"cat_shelf": 7, "dog_shelf": 13}}
    held = {*data.rows("val")["id"], *data.rows("test")["id"]}
    assert held == set(every.rows("test")["id"])


def test_metashift_has_as_many_validation_photos_as_published():
    suite = load_suite("metashift-catdog-disc").suite
    assert (suite.splits["val"], suite.splits["test"]) == (81, 460)
    assert suite.groups_in("test") == ("cat_shelf", "dog_shelf")


SMALL = {"first = 3072": "first = 4", "first = 2756": "first = 3"}
SMALL_O2O = SMALL | {"first = 96": "first = 1", "first = 412": "first = 2"}
PLACES = {  # bulldog, dachshund, labrador, corgi: training, then test
    "spawrious-o2o-easy": ("desert jungle dirt snow", "dirt snow desert jungle"),
    "spawrious-o2o-medium": ("mountain beach dirt jungle", "jungle dirt beach snow"),
    "spawrious-o2o-hard": ("jungle mountain snow desert", "mountain snow desert jungle"),
    "spawrious-m2m-easy": ("desert mountain dirt jungle", "dirt jungle mountain desert"),
    "spawrious-m2m-medium": ("beach snow mountain desert", "desert mountain beach snow"),
    "spawrious-m2m-hard": ("dirt jungle snow beach", "snow beach dirt jungle"),
}
BREEDS = ("bulldog", "dachshund", "labrador", "corgi")


@pytest.fixture(scope="module")
def dogs(tmp_path_factory):
    root = tmp_path_factory.mktemp("dogs")
    spawrious.write(root)
    return root


@pytest.mark.parametrize("name", SPAWRIOUS[:3])
def test_spawrious_one_to_one(name, dogs):
    data = mini(name, dogs, changes=SMALL_O2O)
    train, test = (text.split() for text in PLACES[name])
    filler = "desert" if name.endswith("medium") else "beach"
    seen = Counter({f"{breed}_{place}": 4 + 3 for breed, place in zip(BREEDS, train, strict=True)})
    seen += Counter({f"{breed}_{filler}": 1 + 2 for breed in BREEDS})
    found = groups(data)
    assert found["train"] + found["val"] == seen
    assert found["val"] == dict.fromkeys(seen, 1)
    assert found["test"] == {f"{b}_{p}": 2 * 5 for b, p in zip(BREEDS, test, strict=True)}
    assert not {f"{data.suite.labels[0]}_{train[0]}"} & set(found["test"])


@pytest.mark.parametrize("name", SPAWRIOUS[3:])
def test_spawrious_many_to_many(name, dogs):
    found = groups(mini(name, dogs))
    train, test = (text.split() for text in PLACES[name])
    pairs = {
        split: {
            f"{breed}_{place}": 5
            for half in (slice(0, 2), slice(2, 4))
            for breed, place in product(BREEDS[half], places[half])
        }
        for split, places in (("train", train), ("test", test))
    }
    assert found["train"] + found["val"] == pairs["train"]
    assert found["test"] == pairs["test"]
    assert not set(pairs["train"]) & set(pairs["test"])


@pytest.mark.parametrize("name", SPAWRIOUS)
def test_spawrious_declares_the_groups_of_each_split(name, dogs):
    suite = load_suite(name).suite
    found = groups(mini(name, dogs, changes=SMALL_O2O if "o2o" in name else None))
    for split in suite.splits:
        assert set(suite.groups_in(split)) == set(found[split])
    assert all(path.startswith(("0/", "1/")) for path in mini(name, dogs).manifest["path"])


def test_urbancars_takes_each_split_from_its_folder(tmp_path):
    urbancars.write(tmp_path)
    data = mini("urbancars", tmp_path)
    values = ("urban", "country")
    assert groups(data) == {
        split: {
            f"{car}_{ground}_{thing}": counts[2 * (car != ground) + (car != thing)]
            for car, ground, thing in product(values, repeat=3)
        }
        for split, counts in urbancars.COUNTS.items()
    }
    assert data.suite.groups.minority == [
        name
        for name, (car, *rest) in zip(
            data.suite.groups.names, product(values, repeat=3), strict=True
        )
        if rest != [car, car]
    ]
    rows = data.rows("test")
    expected = np.array([disc(int(path[-7:-4])) for path in rows["path"]])
    np.testing.assert_array_equal(data.pixels.masks(rows), expected)


def test_nico_draws_from_each_class_and_context(tmp_path):
    nicopp.write(tmp_path)
    data = mini("nico++", tmp_path)
    assert groups(data) == {
        "test": {"car_autumn": 4, "hot_air_balloon_autumn": 2, "fishing_rod_dim": 2},
        "val": {"car_autumn": 2, "hot_air_balloon_autumn": 1, "fishing_rod_dim": 1},
        "train": {
            **{"car_autumn": 2, "hot_air_balloon_autumn": 2, "fishing_rod_dim": 1},
            "car_water": 1,
        },
    }
    assert len(data.suite.labels) == 60


def test_pets_in_the_official_layout(tmp_path):
    oxford_pets_swap.write(tmp_path)
    swaps = load_suite("oxford-pets-swap").suite.protocol["standard"].variants[1:]
    data = mini("oxford-pets-swap", tmp_path, *swaps)
    assert groups(data) == {
        "train": {"cat": 8, "dog": 8},
        "val": {"cat": 2, "dog": 2},
        "test": {"cat": 6, "dog": 6},
    }
    rows = data.rows("test")
    assert {data.suite.labels[y] for y in rows["y"]} == set(oxford_pets_swap.BREEDS)
    masks = data.pixels.masks(rows)
    numbers = [int(name.rpartition("_")[2]) - 100 for name in rows["id"]]
    np.testing.assert_array_equal(masks, np.array([disc(k) for k in numbers]))
    for name in swaps:
        left_out = {"Maine_Coon", "american_bulldog"} if name == "mixed_next" else set()
        whole = [name for name in rows["id"] if name.rpartition("_")[0] not in left_out]
        assert list(data.rows("test", name)["id"]) == whole  # their next breed is not there
    same = data.rows("test", "mixed_same")
    breed = [name.rpartition("_")[0] for name in same["id"]]
    assert [name.rpartition("_")[0] for name in same["bg_id"]] == breed
    assert (same["bg_id"] != same["id"]).all()


def test_pets_of_ones_own_on_photos_of_places(tmp_path):
    oxford_pets_swap.write_table(tmp_path)
    data = mini("oxford-pets-swap", tmp_path, "mixed_places")
    assert groups(data)["test"] == {"cat": 4, "dog": 4}
    rows, swapped = data.rows("test"), data.rows("test", "mixed_places")
    images, masks = data.pixels.images(rows), data.pixels.masks(rows)
    pasted = data.pixels.images(swapped)
    np.testing.assert_array_equal(pasted[masks], images[masks])
    assert (abs(pasted[:, 0, 0].astype(int) - BLUE) < 30).all()
    assert set(swapped["bg_id"].str.partition(":")[0]) == {"places_extra"}
