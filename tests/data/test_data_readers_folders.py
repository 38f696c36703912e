"""Folders and file names that tell class, attributes and split."""

from __future__ import annotations

import os
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ifambench.data.readers import read_rows
from ifambench.data.readers.patterns import Shape, match_files, matches
from ifambench.errors import EnvironmentProblem, UsageError
from tests.data.file_suites import file_suite, write_image

CONTEXTS = ["sofa", "bed", "bench", "bike", "shelf"]


def metashift(**changes):
    """`cat(shelf)`: the brackets are part of the folder's name."""
    source = {
        "reader": "image_folder",
        "patterns": [{"path": "{split}/{y}/{y}({context})/{name}.jpg"}],
        **changes,
    }
    return file_suite(source, ["cat", "dog"], attributes={"context": CONTEXTS})


@pytest.fixture
def folder(tmp_path):
    for split, y, context, n in (
        ("train", "cat", "sofa", 3),
        ("train", "cat", "bed", 2),
        ("train", "dog", "bench", 2),
        ("train", "dog", "bike", 2),
        ("test", "cat", "shelf", 4),
        ("test", "dog", "shelf", 5),
    ):
        for k in range(n):
            write_image(tmp_path / f"{split}/{y}/{y}({context})/{k:03d}.jpg")
    return tmp_path


def test_brackets_are_literal_and_doubled_fields_are_equal(folder):
    write_image(folder / "train/dog/cat(bed)/7.jpg")  # a cat among the dogs fits no pattern
    rows = read_rows(metashift(), folder)
    assert len(rows) == 18
    first = rows.iloc[0]
    assert first["id"] == "train/cat/cat(bed)/000"
    assert first["path"] == "train/cat/cat(bed)/000.jpg"
    assert (first["y"], first["a_context"], first["group"]) == (0, "bed", "cat")


def test_hidden_and_excluded_files_and_other_suffixes_are_left_out(folder):
    rows = read_rows(metashift(), folder)
    for name in (".x.jpg", "._000.jpg", "a_mask.jpg", "notes.txt"):
        write_image(folder / "test/cat/cat(shelf)/n.jpg")
        (folder / "test/cat/cat(shelf)/n.jpg").rename(folder / "test/cat/cat(shelf)" / name)
    for name in ("__MACOSX", ".git", "old"):
        write_image(folder / f"test/{name}/{name}(shelf)/1.jpg")
    assert read_rows(metashift(exclude=["*_mask.jpg", "old"]), folder).equals(rows)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_order_in_which_a_folder_is_listed_changes_nothing(seed, tmp_path_factory):
    root = tmp_path_factory.getbasetemp() / "listed"
    if not root.exists():
        for split, n in (("train", 12), ("test", 6)):
            for k in range(n):
                write_image(root / f"{split}/{('cat', 'dog')[k % 2]}/{k * 37 % 100:02d}.jpg")
    suite = file_suite(
        {
            "reader": "image_folder",
            "patterns": [{"path": "{split}/{y}/{name}.jpg", "first": 5}],
            "holdout": [{"split": "val", "of": "train", "share": 0.3}],
        },
        ["cat", "dog"],
        {"train": 0, "val": 0, "test": 0},
    )
    rows, scandir = read_rows(suite, root), os.scandir
    shuffled = random.Random(seed)

    def in_disorder(path="."):
        found = list(scandir(path))
        shuffled.shuffle(found)
        return iter(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", in_disorder)
        again = read_rows(suite, root)
    assert again.equals(rows)
    assert rows["split"].value_counts().to_dict() == {"train": 6, "test": 6, "val": 4}


def test_the_first_files_of_each_cell_are_taken_in_sorted_order(folder):
    suite = metashift(
        patterns=[
            {"path": "train/{y}/{y}({context})/{name}.jpg", "split": "train", "first": 1},
            {
                "path": "train/{y}/{y}({context})/{name}.jpg",
                "split": "test",
                "skip": 1,
                "first": 1,
                "where": {"y": ["cat"]},
            },
        ]
    )
    rows = read_rows(suite, folder)
    found = rows[["split", "id"]].itertuples(index=False, name=None)
    assert list(found) == [
        ("train", "train/cat/cat(bed)/000"),
        ("train", "train/cat/cat(sofa)/000"),
        ("train", "train/dog/dog(bench)/000"),
        ("train", "train/dog/dog(bike)/000"),
        ("test", "train/cat/cat(bed)/001"),
        ("test", "train/cat/cat(sofa)/001"),
    ]


def test_a_pattern_may_set_what_the_path_does_not_tell(folder):
    suite = file_suite(
        {
            "reader": "image_folder",
            "images": "test",
            "patterns": [
                {
                    "path": f"{y}/{{}}/{{name}}.jpg".replace("{}", f"{y}(shelf)"),
                    "split": "test",
                    "set": {"y": y, "context": "shelf"},
                }
                for y in ("cat", "dog")
            ],
            "id": "{name}-of-the-test",
        },
        ["cat", "dog"],
        {"test": 0},
        attributes={"context": CONTEXTS},
    )
    with pytest.raises(EnvironmentProblem, match="the id 000-of-the-test is there twice"):
        read_rows(suite, folder)
    for k in range(5):
        folder.joinpath(f"test/dog/dog(shelf)/{k:03d}.jpg").rename(
            folder / f"test/dog/dog(shelf)/d{k}.jpg"
        )
    rows = read_rows(suite, folder)
    assert rows["y"].tolist() == [0] * 4 + [1] * 5
    assert rows["id"].iloc[-1] == "d4-of-the-test"
    assert set(rows["a_context"]) == {"shelf"}


def test_codings_translate_the_path(tmp_path):
    for y in ("00_dog", "01_bird"):
        write_image(tmp_path / f"original/val/{y}/n1.JPEG")
    suite = file_suite(
        {
            "reader": "image_folder",
            "images": "original",
            "patterns": [{"path": "val/{y}/{name}.JPEG", "split": "test"}],
            "codings": {"y": {"00_dog": "dog", "01_bird": "bird"}},
            "id": "{y}/{name}",
            "mask_pattern": "fg_mask/val/{y}/{name}.npy",
            "mask_format": "npy",
        },
        ["dog", "bird"],
        {"test": 0},
    )
    for y in ("00_dog", "01_bird"):
        write_image(tmp_path / f"fg_mask/val/{y}/n1.png")
        (tmp_path / f"fg_mask/val/{y}/n1.png").rename(tmp_path / f"fg_mask/val/{y}/n1.npy")
        write_image(tmp_path / f"mixed_rand/val/{y}/n1.JPEG")
    rows = read_rows(suite, tmp_path)
    assert rows["id"].tolist() == ["00_dog/n1", "01_bird/n1"]
    assert rows["y"].tolist() == [0, 1]
    assert rows["mask"].iloc[1] == "fg_mask/val/01_bird/n1.npy"
    variant = match_files(suite, tmp_path, "mixed_rand/val/{y}/{name}.JPEG")
    assert variant["id"].tolist() == rows["id"].tolist()
    assert variant["path"].iloc[0] == "mixed_rand/val/00_dog/n1.JPEG"
    assert variant["label"].tolist() == ["dog", "bird"]
    with pytest.raises(EnvironmentProblem, match="no file is of the form"):
        match_files(suite, tmp_path, "mixed_same/val/{y}/{name}.JPEG")


def test_folders_may_be_named_with_the_index_of_the_label(tmp_path):
    for k in (0, 1):
        write_image(tmp_path / f"class_{k}_component_7/a.jpg")
    source = {
        "reader": "image_folder",
        "patterns": [{"path": "class_{y_index}_component_{k}/{name}.jpg", "split": "test"}],
    }
    suite = file_suite(source, ["tench", "goldfish"], {"test": 0})
    assert read_rows(suite, tmp_path)["y"].tolist() == [0, 1]
    write_image(tmp_path / "class_2_component_7/a.jpg")
    with pytest.raises(EnvironmentProblem, match='label "2"'):
        read_rows(suite, tmp_path)


def test_an_undeclared_value_is_named_with_its_path(folder):
    write_image(folder / "test/cow/cow(shelf)/1.jpg")
    with pytest.raises(EnvironmentProblem, match='label "cow" in the path') as caught:
        read_rows(metashift(), folder)
    assert caught.value.where == str(folder / "test/cow/cow(shelf)/1.jpg")
    assert caught.value.choices == ("cat", "dog")


def test_two_patterns_must_not_take_the_same_file(folder):
    suite = metashift(
        patterns=[
            {"path": "{split}/{y}/{y}({context})/{name}.jpg"},
            {"path": "test/{y}/{y}({context})/{k}.jpg", "split": "test"},
        ]
    )
    with pytest.raises(EnvironmentProblem, match=r"matches .*\{name\}.* and .*\{k\}"):
        read_rows(suite, folder)


def test_a_pattern_that_matches_nothing_is_named(folder):
    first = {"path": "{split}/{y}/{y}({context})/{name}.jpg"}
    suite = metashift(patterns=[first, {**first, "where": {"context": ["moon"]}}])
    with pytest.raises(EnvironmentProblem, match="no file is of the form") as caught:
        read_rows(suite, folder)
    assert "{name}.jpg" in caught.value.what
    suite = metashift(patterns=[{**first, "path": "nowhere/{split}/{y}/{context}/{name}"}])
    with pytest.raises(EnvironmentProblem, match="nowhere"):
        read_rows(suite, folder)


def test_a_part_of_the_images_can_be_enough(folder):
    patterns = [
        {"path": f"{split}/{{y}}/{{y}}({{context}})/{{name}}.jpg", "split": split}
        for split in ("train", "test")
    ]
    (folder / "train").rename(folder / "elsewhere")
    with pytest.raises(EnvironmentProblem, match="no file is of the form"):
        read_rows(metashift(patterns=patterns), folder)
    rows = read_rows(metashift(patterns=patterns), folder, partial=True)
    assert rows["split"].tolist() == ["test"] * 9
    (folder / "test").rename(folder / "nowhere")
    with pytest.raises(EnvironmentProblem, match="there is no image of mini"):
        read_rows(metashift(patterns=patterns), folder, partial=True)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {
                "patterns": [
                    {"path": "{split}/{y}/{y}({context})/{name}.jpg", "where": {"no": ["x"]}}
                ]
            },
            "has no field no",
        ),
        ({"id": "{nam}"}, 'the field "nam"'),
        ({"mask_pattern": "masks/{number}.png"}, 'the field "number"'),
    ],
)
def test_a_field_that_the_pattern_does_not_have_is_refused(changes, text, folder):
    with pytest.raises(UsageError, match=text):
        read_rows(metashift(**changes), folder)


@pytest.mark.parametrize(
    ("text", "known", "path", "fields"),
    [
        (
            "{y}_{n}.jpg",
            {"y": ["american_bulldog"]},
            "american_bulldog_7.jpg",
            ["american_bulldog", "7"],
        ),
        ("{y}_{n}.jpg", {"y": ["cat"]}, "cow_7.jpg", ["cow", "7"]),
        ("{y}_{n}.jpg", {"y": ["cat", "cat_big"]}, "cat_big_7.jpg", ["cat_big", "7"]),
        ("{y}/{n}", {}, "cat/7.JPeG", ["cat", "7"]),
        ("{y}/{n}", {}, "cat/7.txt", None),
        ("{y}/{n}", {}, "a/b/7.jpg", None),
        ("{y}/{n}", {}, "/7.jpg", None),
        ("{y}/{n}.jpg", {}, "cat/7.JPG", None),
        ("{y}/{y}+{n}.jpg", {}, "a.c/a.c+1.jpg", ["a.c", "1"]),
        ("{y}/{y}+{n}.jpg", {}, "a.c/abc+1.jpg", None),
        (
            "obj-{y}_bg-{b}_co_occur_obj-{c}/{n}.jpg",
            {},
            "obj-urban_bg-country_co_occur_obj-urban/001.jpg",
            ["urban", "country", "urban", "001"],
        ),
    ],
)
def test_shapes(text, known, path, fields):
    found = [list(item.values()) for _, item in matches(Shape(text, known), [path])]
    assert found == ([] if fields is None else [fields])


def test_a_link_in_a_circle_does_not_hang(folder):
    rows = read_rows(metashift(), folder)
    try:
        (folder / "test/cat/loop").symlink_to(folder / "test", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert read_rows(metashift(), folder).equals(rows)


def test_masks_with_a_suffix_beside_the_images(tmp_path):
    for k in range(3):
        write_image(tmp_path / f"train/obj-urban_bg-country/{k:03d}.jpg")
        write_image(tmp_path / f"train/obj-country_bg-country/{k:03d}.jpg")
    source = {
        "reader": "image_folder",
        "patterns": [{"path": "train/obj-{y}_bg-{place}/{name}.jpg", "split": "test"}],
        "mask_pattern": "train/obj-{y}_bg-{place}/{name}",
        "mask_suffix": "_mask.png",
    }
    places = {"place": ["urban", "country"]}
    suite = file_suite(source, ["urban", "country"], {"test": 0}, ["y", "place"], places)
    with pytest.raises(EnvironmentProblem, match="6 of 12 files"):
        read_rows(suite, tmp_path)
    for path in list((tmp_path / "train").rglob("*.jpg")):
        write_image(path.with_name(f"{path.stem}_mask.png"), mode="L")
    rows = read_rows(suite, tmp_path)
    assert rows["mask"].iloc[0] == "train/obj-country_bg-country/000_mask.png"
    assert rows["group"].unique().tolist() == ["country_country", "urban_country"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("{y}/{1st}.png", "cannot be called '1st'"),
        ("{y}/{}.png", "cannot be called ''"),
        ("{y}{name}.png", "something between them"),
        ("{y}_{a}_{b}/{c}_{d}_{e}_{f}.png", "too many fields"),
        ("../{y}/{name}.png", "without '..'"),
    ],
)
def test_patterns_that_cannot_be_compared_are_refused(path, text):
    source = {"reader": "image_folder", "patterns": [{"path": path, "split": "test"}]}
    with pytest.raises(ValidationError, match=re.escape(text)):
        file_suite(source, ["a", "b"], {"test": 0})


def test_a_name_that_is_no_utf8_is_named(folder):
    name = os.fsencode(folder / "train/cat/cat(home)") + b"/\xff.jpg"
    try:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(EnvironmentProblem, match="not UTF-8") as caught:
        read_rows(metashift(), folder)
    str(caught.value).encode("utf-8")  # can be printed
