"""Shipped suites read from miniatures in the real layout: of ImageNet, medicine and others."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageFont

from ifambench.data.imagenet_map import with_imagenet_map
from ifambench.data.images import View
from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem
from ifambench.metrics.on_request import check_protocol
from ifambench.suites.catalog import load_suite
from ifambench.suites.checks import imagenet_members
from ifambench.suites.labels import label_set
from ifambench.train.recipes import recipe_for
from tests.suites.miniatures import (
    coco_on_places,
    funnybirds,
    imagenet_val,
    in9,
    isic_traps,
    rival10,
    siim_acr_tube,
)
from tests.suites.miniatures.pictures import SIDE, disc

ISIC = ["isic-traps", *(f"isic-traps-{seed}" for seed in range(2, 6))]
EXPLAINED = ["imagenet-sample"]
TEST_ONLY = ["in9", "imagenet-w", "hard-imagenet", "counteranimal", "spurious-imagenet", *EXPLAINED]
TRAINED = ["rival10", "siim-acr-tube", "coco-on-places", "funnybirds", *ISIC]


def mini(name, root, *variants, side=SIDE, crop=1.0):
    """What `load_data` finds in the miniature, in pictures of 32 pixels."""
    suite, asked = load_suite(name).suite, ("original", *variants)
    return load_data(suite, "available", None, None, View(side, crop), root, asked)


def groups(data):
    """Images by group, per split."""
    originals = data.manifest[data.manifest["variant"] == "original"]
    return {split: Counter(part["group"]) for split, part in originals.groupby("split")}


def names(data, split="test", variant="original"):
    """Label names of the rows."""
    return [data.suite.labels[y] for y in data.rows(split, variant)["y"]]


@pytest.mark.parametrize("name", [*TEST_ONLY, *TRAINED])
def test_the_file_is_complete(name):
    suite = load_suite(name).suite
    assert suite.citation
    assert suite.known_issues
    assert suite.status == "ok" or suite.status_note
    assert suite.source.how_to_get
    assert suite.download
    assert all(item.licence for item in suite.download)
    for protocol in suite.protocol:
        check_protocol(suite, protocol, name)
        assert suite.protocol[protocol].explain.images == (1000 if name in EXPLAINED else 0)
    assert suite.has_training == (name in TRAINED)
    assert {"vit", "ifam", "pdiscoformer"} <= set(suite.recipe) or not suite.has_training
    assert all(recipe_for(suite, "", section) for section in suite.recipe)


@pytest.mark.parametrize("name", [*TEST_ONLY, *TRAINED])
def test_known_counts_add_up(name):
    suite = load_suite(name).suite
    for split, expected in suite.expected.items():
        assert expected.n == suite.splits[split]
        assert -1 in expected.groups or sum(expected.groups) == expected.n


def test_in9_and_its_nine_folders(tmp_path):
    in9.write(tmp_path)
    data = mini("in9", tmp_path)
    assert groups(data) == {"test": dict.fromkeys(data.suite.labels, in9.PER_CLASS)}
    rows = data.rows("test")
    assert list(rows["id"]) == [in9.image(c, k) for c in range(9) for k in range(in9.PER_CLASS)]
    assert list(rows["y"]) == [c for c in range(9) for _ in range(in9.PER_CLASS)]
    wanted = [disc(c + k) for c in range(9) for k in range(in9.PER_CLASS)]
    np.testing.assert_array_equal(data.pixels.masks(rows), wanted)


@pytest.mark.parametrize("variant", in9.GROUNDS)
def test_mixed_images_of_in9_are_paired_by_the_foreground_in_their_name(variant, tmp_path):
    in9.write(tmp_path)
    data = mini("in9", tmp_path, variant)
    rows = data.rows("test", variant)
    assert list(rows["id"]) == list(data.rows("test")["id"])
    stems = [path.rpartition("/")[2] for path in rows["path"]]
    assert all(a.startswith(f"fg_{b}_bg_") for a, b in zip(stems, rows["id"], strict=True))
    corners = data.pixels.images(rows)[:, 0, 0].astype(int)
    ground = np.array(in9.GROUNDS[variant])
    assert ((corners - ground >= -3) & (corners - ground < 15)).all()
    np.testing.assert_array_equal(data.pixels.masks(rows), data.pixels.masks(data.rows("test")))


def test_other_variants_of_in9_have_the_names_of_the_originals(tmp_path):
    in9.write(tmp_path)
    variants = ("only_fg", "no_fg", "only_bg_b", "only_bg_t")
    data = mini("in9", tmp_path, *variants)
    for variant in variants:
        rows = data.rows("test", variant)
        assert [path.split("/")[0] for path in rows["path"]] == [variant] * 27
        assert list(rows["id"]) == list(data.rows("test")["id"])


def test_a_mixed_image_without_its_original_is_an_error(tmp_path):
    folder = in9.write(tmp_path)
    sorted((folder / "mixed_rand" / "val" / "02_wheeled vehicle").iterdir())[0].unlink()
    with pytest.raises(EnvironmentProblem) as caught:
        mini("in9", tmp_path, "mixed_rand")
    assert in9.image(2, 0) in caught.value.what


def test_the_challenge_pastes_objects_on_backgrounds_of_the_release(tmp_path):
    folder = in9.write(tmp_path)
    data = mini("in9", tmp_path, "challenge.0", "challenge.1")
    original = data.pixels.images(data.rows("test"))
    behind = {}
    for variant in ("challenge.0", "challenge.1"):
        rows = data.rows("test", variant)
        assert len(rows) == 27
        behind[variant] = [name.partition(":")[2] for name in rows["bg_id"]]
        images = data.pixels.images(rows)
        for k, path in enumerate(behind[variant]):
            mask = disc(k // 3 + k % 3)
            photo = np.asarray(Image.open(folder / "only_bg_t" / "val" / path))
            np.testing.assert_array_equal(images[k], np.where(mask[..., None], original[k], photo))
    assert behind["challenge.0"] != behind["challenge.1"]
    assert len({path.split("/")[0] for path in behind["challenge.0"]}) > 4


def test_the_challenge_has_sixteen_seeds():
    suite = load_suite("in9").suite
    asked = [f"challenge.{k}" for k in range(16)]
    assert suite.protocol["challenge"].variants == ["original", *asked]
    seeds = {item.id: item.seed for item in suite.variant if item.kind == "background_swap"}
    assert seeds == {f"challenge.{k}": k for k in range(16)}


def test_in9_is_shown_whole(tmp_path):
    in9.write(tmp_path)
    whole, cropped = mini("in9", tmp_path), mini("in9", tmp_path, crop=0.5)
    rows = whole.rows("test")
    np.testing.assert_array_equal(cropped.pixels.images(rows), whole.pixels.images(rows))
    assert whole.warnings == ()
    assert cropped.warnings == (
        "images are shown whole, not their inner 0.5 as the model's input says",
    )


def test_in9_takes_the_map_of_the_thousand_classes_from_its_folder(tmp_path):
    in9.write(tmp_path)
    suite = load_suite("in9").suite
    assert imagenet_members(suite) == {}
    found = imagenet_members(with_imagenet_map(suite, tmp_path))
    assert list(found) == suite.labels
    for label, members in enumerate(found.values()):
        assert members == [k for k in range(1000) if in9.label_of(k) == label]
    assert sum(map(len, found.values())) == 370


@pytest.mark.parametrize("layout", ["published", "numbered"])
def test_the_sample_of_imagenet_in_both_layouts(layout, tmp_path):
    folder = imagenet_val.write_sample(tmp_path, layout)
    data = mini("imagenet-sample", tmp_path)
    assert groups(data) == {"test": {"all": 3}}
    rows = data.rows("test")
    order = label_set("imagenet-1k")
    assert list(rows["id"]) == list(imagenet_val.SAMPLE)
    assert [order[y] for y in rows["y"]] == list(imagenet_val.SAMPLE)
    assert {(folder / path).is_file() for path in rows["path"]} == {True}
    assert not load_suite("imagenet-sample").suite.protocol["standard"].ranked


def test_the_sample_of_imagenet_holds_a_photo_of_each_class(tmp_path):
    imagenet_val.write_sample(tmp_path, "published")
    suite = load_suite("imagenet-sample").suite
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(suite, "default", None, None, View(SIDE), tmp_path)
    assert "1000" in caught.value.what


def test_imagenet_w_wants_the_font_of_its_letters(tmp_path):
    imagenet_val.write_imagenet(tmp_path, imagenet_val.CARTON)
    with pytest.raises(EnvironmentProblem) as caught:
        mini("imagenet-w", tmp_path, "watermark")
    assert "SourceHanSerifSC-ExtraLight.otf" in caught.value.what
    assert "imagenet-w" in caught.value.next_step


def test_imagenet_w_brightens_a_band_of_the_photo(tmp_path):
    imagenet_val.write_imagenet(tmp_path, imagenet_val.CARTON, imagenet_val.OSTRICH)
    any_font = ImageFont.load_default(12).font_bytes
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "SourceHanSerifSC-ExtraLight.otf").write_bytes(any_font)
    data = mini("imagenet-w", tmp_path, "watermark", side=64)
    assert groups(data) == {"test": {"all": 4}}
    labels = label_set("imagenet-1k")
    rows = data.rows("test")
    assert list(rows["y"]) == [labels.index(path.split("/")[1]) for path in rows["path"]]
    assert set(names(data)) == {imagenet_val.CARTON, imagenet_val.OSTRICH}
    marked = data.pixels.images(data.rows("test", "watermark")).astype(int)
    change = marked - data.pixels.images(rows)
    assert change.min() == 0
    assert change.max() > 20
    assert not change[:, : int(0.4 * 64)].any()


def test_carton_is_the_class_of_the_watermark():
    metrics = load_suite("imagenet-w").suite.protocol["standard"].metrics
    asked = [metrics[name] for name in ("class_accuracy_gap", "class_share_increase")]
    assert {item["variant"] for item in asked} == {"watermark"}
    assert {label_set("imagenet-1k").index(item["label"]) for item in asked} == {478}


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("hard-imagenet", "standard"), ("rival10", "standard"), ("rival10", "restricted")],
)
def test_sensitivity_is_over_three_draws_of_the_noise(name, protocol):
    found = load_suite(name).suite.protocol[protocol]
    asked = found.metrics["relative_foreground_sensitivity"]
    assert [len(asked[kind]) for kind in ("foreground", "background")] == [3, 3]
    assert {*asked["foreground"], *asked["background"]} <= set(found.variants)


def test_hard_imagenet_and_masks_with_the_noise_of_jpeg(tmp_path):
    imagenet_val.write_hard_imagenet(tmp_path)
    noisy = ("noise_foreground", "noise_background")
    data = mini("hard-imagenet", tmp_path, "grey_object", "grey_box", "tile_box", *noisy)
    rows = data.rows("test")
    assert groups(data) == {"test": {"all": 4}}
    assert sorted(names(data)) == [*[imagenet_val.OSTRICH] * 2, *[imagenet_val.SLED] * 2]
    images, masks = data.pixels.images(rows), data.pixels.masks(rows)
    numbers = [int(path[-13:-5]) for path in rows["path"]]
    assert all((masks[k] & disc(n) == disc(n)).all() for k, n in enumerate(numbers))
    grey = data.pixels.images(data.rows("test", "grey_object"))
    assert (grey[masks] == 128).all()
    np.testing.assert_array_equal(grey[~masks], images[~masks])
    box = data.pixels.images(data.rows("test", "grey_box"))
    assert ((box == 128).all(axis=-1).sum(axis=(1, 2)) > masks.sum(axis=(1, 2))).all()
    on, around = (data.pixels.images(data.rows("test", name)) for name in noisy)
    np.testing.assert_array_equal(on[~masks], images[~masks])
    np.testing.assert_array_equal(around[masks], images[masks])
    assert (on[masks] != images[masks]).mean() > 0.9


def test_rival10_maps_twenty_classes_to_ten(tmp_path):
    rival10.write(tmp_path)
    data = mini("rival10", tmp_path, "noise_background")
    labels = data.suite.labels
    assert labels == list(rival10.CLASSES)
    assert groups(data) == {
        "train": dict.fromkeys(labels, 3),
        "val": dict.fromkeys(labels, 1),
        "test": dict.fromkeys(labels, 2),
    }
    order = label_set("imagenet-1k")
    wanted = {label: [order.index(w) for w in wnids] for label, wnids in rival10.CLASSES.items()}
    assert imagenet_members(data.suite) == wanted
    rows = data.rows("test")
    for row, label in zip(rows.itertuples(), names(data), strict=True):
        assert row.path.rpartition("/")[2].split("_")[0] in rival10.CLASSES[label]
    numbers = [int(path[-13:-5]) for path in rows["path"]]
    np.testing.assert_array_equal(data.pixels.masks(rows), [disc(k) for k in numbers])
    assert not data.manifest["path"].str.contains("superimposed|merged_mask").any()


def test_counteranimal_and_its_pairs_of_backgrounds(tmp_path):
    imagenet_val.write_counteranimal(tmp_path)
    data = mini("counteranimal", tmp_path)
    assert groups(data) == {"test": {"common": 6, "counter": 4}}
    assert Counter(data.rows("test")["y"]) == {9: 5, 292: 5}
    assert set(names(data)) == {imagenet_val.OSTRICH, label_set("imagenet-1k")[292]}
    for row in data.rows("test").itertuples():
        assert f"/{row.a_background}-" in row.path


@pytest.mark.parametrize("words", ["class_idx_{index}_comp_{component}", "a_b_{index}_{component}"])
def test_spurious_imagenet_by_class_index_and_by_wordnet_id(words, tmp_path):
    imagenet_val.write_spurious(tmp_path, words)
    data = mini("spurious-imagenet", tmp_path)
    assert groups(data) == {"test": {"object": 6, "feature": 6}}
    rows = data.rows("test")
    assert Counter(zip(rows["a_shows"], rows["y"], strict=True)) == {
        ("object", 9): 2,
        ("object", 478): 2,
        ("object", 537): 2,
        ("feature", 9): 3,
        ("feature", 478): 3,
    }


def test_siim_has_a_group_per_cell_and_every_lesion(tmp_path):
    siim_acr_tube.write(tmp_path)
    data = mini("siim-acr-tube", tmp_path, side=256)
    assert groups(data) == {
        "train": {"no_pneumothorax_unknown": 2, "pneumothorax_unknown": 2},
        "val": {"no_pneumothorax_unknown": 1, "pneumothorax_unknown": 1},
        "test": {
            "no_pneumothorax_no_tube": 1,
            "no_pneumothorax_tube": 1,
            "pneumothorax_no_tube": 1,
            "pneumothorax_tube": 1,
        },
    }
    rows = data.rows("test").set_index("id", drop=False)
    assert {name: int(row["a_tube"] == "tube") for name, row in rows.iterrows()} == (
        siim_acr_tube.TUBES
    )
    two, one = siim_acr_tube.SICK[:2]
    first, second = siim_acr_tube.box(100, 200), siim_acr_tube.box(600, 700)
    found = data.pixels.masks(rows.loc[[two, one]])
    np.testing.assert_array_equal(found[0], (first | second)[2::4, 2::4])
    np.testing.assert_array_equal(found[1], first[2::4, 2::4])
    healthy = rows[rows["y"] == 0]
    assert (healthy["mask"] == "").all()


def test_siim_expects_no_known_tube_in_training():
    suite = load_suite("siim-acr-tube").suite
    unknown = ("no_pneumothorax_unknown", "pneumothorax_unknown")
    assert suite.groups_in("train") == suite.groups_in("val") == unknown
    assert set(suite.groups_in("test")) == set(suite.groups.names) - set(unknown)


def test_numbers_that_are_not_known_are_not_checked_but_empty_groups_are(tmp_path):
    folder = siim_acr_tube.write(tmp_path)
    suite = load_suite("siim-acr-tube").suite
    data = load_data(suite, "default", None, None, View(SIDE), tmp_path)
    assert len(data.manifest) == 10
    lines = (folder / "tubes.csv").read_text(encoding="utf-8").splitlines()
    (folder / "tubes.csv").write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(suite, "default", None, None, View(SIDE), tmp_path)
    assert 'group "pneumothorax_tube" has no image in split "test"' in caught.value.what


def test_known_groups_beside_unknown_ones_are_checked(tmp_path):
    imagenet_val.write_spurious(tmp_path, "a_b_{index}_{component}")
    suite = load_suite("spurious-imagenet").suite
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(suite, "default", None, None, View(SIDE), tmp_path)
    assert "6 object, 6 feature" in caught.value.what
    assert "[-1, 7500]" in caught.value.what


@pytest.mark.parametrize("seed", [1, 4])
def test_isic_validation_photos_are_taken_out_of_training(seed, tmp_path):
    isic_traps.write(tmp_path, seed)
    data = mini(ISIC[seed - 1], tmp_path)
    assert groups(data) == {
        "train": {"benign": 5, "malignant": 1},
        "val": {"benign": 1, "malignant": 1},
        "test": {"benign": 4, "malignant": 2},
    }
    ids = {split: set(data.rows(split)["id"]) for split in ("train", "val", "test")}
    assert not ids["train"] & ids["val"]
    rows = data.rows("test")
    numbers = [int(name[5:12]) for name in rows["id"]]
    np.testing.assert_array_equal(data.pixels.masks(rows), [disc(k) for k in numbers])
    for column, name in enumerate(isic_traps.ARTEFACTS):
        wanted = ["yes" if k % 8 == column else "no" for k in numbers]
        assert list(rows[f"a_{name}"]) == wanted


def test_the_five_isic_files_differ_in_the_split_only():
    texts = [load_suite(name).path.read_text(encoding="utf-8") for name in ISIC]
    for seed, text in enumerate(texts, start=1):
        changed = text.replace(f"isic-traps-{seed}", "isic-traps")
        changed = changed.replace(f"split {seed} of 5", "split 1 of 5")
        changed = changed.replace(f"Split {seed} of 5 of isic-traps:", "Split 1 of 5:")
        for split in ("train", "val", "test"):
            changed = changed.replace(f"isic_annotated_{split}{seed}", f"isic_annotated_{split}1")
        assert _without_listing(changed) == _without_listing(texts[0])


def _without_listing(text):
    """A suite file without the line that names all five."""
    return [line for line in text.splitlines() if "There are five splits" not in line]


def test_coco_on_places_has_three_kinds_of_test_images(tmp_path):
    coco_on_places.write(tmp_path)
    data = mini("coco-on-places", tmp_path)
    kinds = {"id": 9, "sg": 9, "ood": 9}
    assert groups(data) == {"train": {"id": 18}, "val": kinds, "test": kinds}
    rows = data.rows("test")
    files = {"id": "idtest", "sg": "sgtest", "ood": "oodtest"}
    for row, image in zip(rows.itertuples(), data.pixels.images(rows), strict=True):
        file, _, index = row.path.partition(".h5py#")
        assert file == files[row.a_shift]
        assert row.y == int(index)
        assert np.unique(image) == round(255 * coco_on_places.brightness(file, int(index)))


def test_funnybirds_without_their_parts(tmp_path):
    funnybirds.write(tmp_path)
    variants = [f"no_{part}" for part in funnybirds.PARTS] + ["no_parts"]
    data = mini("funnybirds", tmp_path, *variants)
    assert groups(data) == {"train": {"all": 6}, "val": {"all": 6}, "test": {"all": 3}}
    rows = data.rows("test")
    assert names(data) == sorted(str(number) for number in funnybirds.CLASSES)
    coloured = (funnybirds.part_map()[..., :3] > 0).any(axis=-1)
    np.testing.assert_array_equal(data.pixels.masks(rows), [coloured] * 3)
    red = {}
    for variant in ("original", *variants):
        found = data.rows("test", variant)
        assert list(found["id"]) == list(rows["id"])
        red[variant] = data.pixels.images(found)[:, 16, 16, 0].astype(int)
    for part in funnybirds.PARTS:
        np.testing.assert_array_equal(red["original"] - red[f"no_{part}"], 30)
    np.testing.assert_array_equal(red["original"] - red["no_parts"], 150)
