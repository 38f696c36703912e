from __future__ import annotations

import numpy as np
import pytest

from ifambench.data.generated import generation_params
from ifambench.data.load import load_data, split_sizes
from ifambench.data.manifest import check_groups
from ifambench.data.waterdigits import VARIANTS
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite

SIZE = "400"


@pytest.fixture(scope="module")
def suite():
    return load_suite("waterdigits").suite


@pytest.fixture(scope="module")
def data(suite):
    return load_data(suite, SIZE)


@pytest.fixture(scope="module")
def published(suite):
    """The data at the default size."""
    return load_data(suite)


def with_(suite, **changes):
    return suite.model_copy(update=changes)


def with_generation(suite, **changes):
    return with_(suite, generation=suite.generation.model_copy(update=changes))


def test_the_published_counts_are_exact(published, suite):
    for split, expected in suite.expected.items():
        counts = published.rows(split)["group"].value_counts()
        assert [counts[name] for name in suite.groups.names] == expected.groups


def test_the_manifest_has_the_columns_of_the_contract(data):
    assert list(data.manifest.columns) == [
        *("id", "path", "split", "y", "group", "a_place", "mask", "variant", "fg_id", "bg_id")
    ]
    assert not data.manifest[["id", "variant"]].duplicated().any()
    assert data.manifest.drop(columns="bg_id").notna().all().all()


def test_test_images_have_all_variants_and_the_others_only_the_original(data):
    assert set(data.manifest.loc[data.manifest["split"] == "test", "variant"]) == set(VARIANTS)
    assert set(data.manifest.loc[data.manifest["split"] != "test", "variant"]) == {"original"}
    ids = [set(data.rows("test", variant)["id"]) for variant in VARIANTS]
    assert all(found == ids[0] for found in ids)


def test_the_group_is_label_and_place(data, suite):
    rows = data.manifest
    wanted = [
        f"{suite.labels[y]}_on_{place}" for y, place in zip(rows["y"], rows["a_place"], strict=True)
    ]
    assert rows["group"].tolist() == wanted
    assert set(rows["group"]) == set(suite.groups.names)


def test_the_place_agrees_with_the_label_in_train_only(published):
    def agreement(split):
        rows = published.rows(split)
        return (rows["a_place"].map({"land": 0, "water": 1}) == rows["y"]).mean()

    assert agreement("train") == 0.95
    assert agreement("val") == agreement("test") == 0.5


def test_the_swapped_background_is_of_the_label_or_random(published):
    same, rand = (published.rows("test", name) for name in ("mixed_same", "mixed_rand"))
    place = {
        name: rows["bg_id"].str.split("/").str[1] for name, rows in (("same", same), ("rand", rand))
    }
    assert (place["same"] == same["y"].map({0: "land", 1: "water"})).all()
    share = (place["rand"] == "land").mean()
    assert 0.42 < share < 0.58
    assert abs(np.corrcoef(place["rand"] == "land", rand["y"])[0, 1]) < 0.12


def test_splits_share_no_digit_and_no_texture(published):
    rows = published.manifest
    for column in ("fg_id", "bg_id"):
        used = {name: set(part[column]) - {""} for name, part in rows.groupby("split")}
        assert not used["train"] & used["test"]
        assert not used["train"] & used["val"]
        assert not used["val"] & used["test"]


def test_the_object_is_the_same_bit_for_bit_in_all_variants_that_have_it(data):
    masks = data.pixels.masks(data.rows("test"))
    shown = {name: data.pixels.images(data.rows("test", name)) for name in VARIANTS}
    for name in ("mixed_same", "mixed_rand", "only_fg"):
        assert (shown[name][masks] == shown["original"][masks]).all()
    assert (shown["only_fg"][~masks] == 0).all()
    assert (shown["no_fg"][masks] == 0).all()
    assert (shown["no_fg"][~masks] == shown["original"][~masks]).all()


def test_the_mask_is_where_the_object_hides_the_background(data):
    masks = data.pixels.masks(data.rows("test"))
    original, background = (
        data.pixels.images(data.rows("test", name)) for name in ("original", "only_bg")
    )
    differs = (original != background).any(axis=-1)
    assert not (differs & ~masks).any()
    assert (differs & masks).sum() / masks.sum() > 0.98  # colours can agree by chance
    share = masks.mean(axis=(1, 2))
    assert share.min() > 0.1
    assert share.max() < 0.5


def test_masks_lie_inside_the_image(data):
    for split in ("train", "test"):
        masks = data.pixels.masks(data.rows(split))
        assert not masks[:, [0, -1]].any()
        assert not masks[:, :, [0, -1]].any()


def test_pixels_do_not_depend_on_the_order_or_the_choice_of_rows(data):
    rows = data.manifest.sample(12, random_state=0)
    together = data.pixels.images(rows)
    for position in range(len(rows)):
        alone = data.pixels.images(rows.iloc[[position]])[0]
        assert (alone == together[position]).all()
    assert together.dtype == np.uint8
    assert together.shape == (12, 64, 64, 3)


def test_the_same_seed_gives_the_same_bits(data, suite):
    again = load_data(suite, SIZE)
    assert again.digest == data.digest
    assert again.manifest.equals(data.manifest)
    assert (again.pixels.images(again.manifest) == data.pixels.images(data.manifest)).all()


def test_another_seed_gives_other_bits(data, suite):
    assert load_data(with_generation(suite, seed=1), SIZE).digest != data.digest


def test_a_split_alone_is_the_same_as_among_the_others(data, suite):
    alone = load_data(suite, SIZE, splits=["val"])
    assert set(alone.manifest["split"]) == {"val"}
    rows = data.rows("val")
    assert alone.rows("val").equals(rows)
    assert (alone.pixels.images(rows) == data.pixels.images(rows)).all()
    assert (alone.pixels.masks(rows) == data.pixels.masks(rows)).all()


def test_progress_counts_every_image(suite):
    class Count(Progress):
        total = done = 0

        def start(self, phase, total):
            self.total = total

        def advance(self, steps=1, note=""):
            self.done += steps

    progress = Count()
    load_data(suite, "200", progress=progress)
    assert progress.done == progress.total == 200 + 40 + 80


def test_train_shares_follow_the_groups(published):
    assert published.train_shares() == (0.475, 0.025, 0.025, 0.475)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ("default", {"train": 2000, "val": 400, "test": 800}),
        ("1000", {"train": 1000, "val": 200, "test": 400}),
        ("200", {"train": 200, "val": 40, "test": 80}),
        ("4000", {"train": 4000, "val": 800, "test": 1600}),
    ],
)
def test_size_scales_all_splits(size, wanted, suite):
    assert split_sizes(suite, size) == wanted


@pytest.mark.parametrize("size", ["0", "199", "250", "-400", "4.5", "big", "", "1e3", "²"])
def test_a_size_that_is_none_is_refused(size, suite):
    with pytest.raises(UsageError) as caught:
        split_sizes(suite, size)
    assert caught.value.where == "--size"


@pytest.mark.parametrize("size", ["200", "332", "1004"])
def test_any_size_can_be_drawn(size, suite):
    found = load_data(suite, size)
    for split, n in split_sizes(suite, size).items():
        counts = found.rows(split)["group"].value_counts()
        assert counts.sum() == n
        assert len(counts) == 4


def test_a_fingerprint_that_differs_is_an_error_that_names_the_split(suite):
    wrong = with_generation(suite, fingerprint={"val": "0" * 64})
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(wrong, splits=["val"])
    assert '"val"' in caught.value.what
    assert "generation.fingerprint" in str(caught.value.where)
    assert load_data(wrong, "200", splits=["val"])  # other sizes have no published pixels


def test_counts_that_differ_are_an_error_that_names_the_split(suite):
    expected = suite.expected | {
        "val": suite.expected["val"].model_copy(update={"groups": [1] * 4})
    }
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(with_(with_generation(suite, fingerprint={}), expected=expected), splits=["val"])
    assert "expected.val.groups" in str(caught.value.where)


def test_a_group_without_an_image_is_an_error(suite):
    all_agree = suite.generation.params | {"correlation": 1.0}
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(with_generation(suite, params=all_agree), "200", splits=["train"])
    assert 'group "zero_on_water" has no image in split "train"' in caught.value.what


def test_check_groups_passes_complete_splits(data, suite):
    check_groups(suite, data.manifest)


@pytest.mark.parametrize(
    "params",
    [
        {"digits": [[0], [1]], "diameter": [1, 2], "colour": 1},
        {"digits": [[0], [1]], "diameter": [1, 2], "texture": {"x": 1}},
        {"digits": 3, "diameter": [1, 2]},
        {"digits": [[0], [11]]},
        {"digits": [[0], [1], [2]]},
        {"correlation": "high"},
        {"correlation": 1.5},
        {"side": 60},
        {"diameter": [42, 30]},
        {"textures_per_place": 0},
    ],
)
def test_wrong_generator_parameters_are_named(params, suite):
    with pytest.raises(UsageError) as caught:
        generation_params(with_generation(suite, params=params))
    assert "generation.params" in str(caught.value.where)
