"""Data sets with files of their own form: CUB, Pets, SIIM-ACR, HDF5, and readers of others."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from ifambench import registry
from ifambench.data.readers import read_rows
from ifambench.errors import EnvironmentProblem, UsageError
from tests.data.file_suites import file_suite, write_image, write_text

BIRDS = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]


@pytest.fixture
def cub(tmp_path):
    """Eight photos, one more file that no table names, masks in folders of their own."""
    root = tmp_path / "CUB_200_2011"
    names = [f"{BIRDS[k // 4]}/Bird_{k:04d}.jpg" for k in range(8)]
    for name in [*names, f"{BIRDS[0]}/Bird_0001_rgb.jpg"]:
        write_image(root / "images" / name)
    for name in names:
        write_image((root / "segmentations" / name).with_suffix(".png"), mode="L")
    tables = {
        "images.txt": names,
        "image_class_labels.txt": [1 + k // 4 for k in range(8)],
        "train_test_split.txt": [k % 2 for k in range(8)],
    }
    for file, values in tables.items():
        write_text(root / file, "".join(f"{k} {value}\n" for k, value in enumerate(values, 1)))
    return root


def cub_suite(splits=None):
    return file_suite({"reader": "cub", "masks": "segmentations"}, ["albatross", "laysan"], splits)


def test_cub_reads_what_is_indexed_with_classes_from_one(cub):
    rows = read_rows(cub_suite(), cub)
    assert rows["id"].tolist() == ["2", "4", "6", "8", "1", "3", "5", "7"]
    assert rows["split"].tolist() == ["train"] * 4 + ["test"] * 4
    assert rows["y"].tolist() == [0, 0, 1, 1] * 2
    assert rows["path"].iloc[0] == f"images/{BIRDS[0]}/Bird_0001.jpg"
    assert rows["mask"].iloc[0] == f"segmentations/{BIRDS[0]}/Bird_0001.png"
    assert read_rows(cub_suite({"test": 0}), cub)["id"].tolist() == ["1", "3", "5", "7"]


@pytest.mark.parametrize(
    ("file", "old", "new", "text"),
    [
        ("image_class_labels.txt", "8 2\n", "", "image 8 is not in image_class_labels.txt"),
        ("image_class_labels.txt", "8 2\n", "8 3\n", 'label "3"'),
        ("image_class_labels.txt", "8 2\n", "8 0\n", 'label "0"'),
        ("train_test_split.txt", "8 1\n", "8 2\n", 'split "2"'),
        ("train_test_split.txt", "8 1\n", "8\n", "as many cells"),
        ("images.txt", "8 002", "7 002", "7 is there twice"),
        ("images.txt", "8 002", "8 ../002", "is not a path below"),
        ("images.txt", f"8 {BIRDS[1]}/Bird_0007.jpg", "8 .", "is no image file"),
    ],
)
def test_cub_names_what_is_wrong(file, old, new, text, cub):
    path = cub / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(EnvironmentProblem, match=text):
        read_rows(cub_suite(), cub)


PETS = [("Abyssinian", 1, 1, 1), ("american_bulldog", 2, 2, 1)]


def pets_suite(label="breed", splits=None, **source):
    labels = {"breed": ["Abyssinian", "American Bulldog"], "species": ["cat", "dog"]}
    other = "species" if label == "breed" else "breed"
    base = {"reader": "pets", "label": label, "mask_format": "values", "mask_values": [1, 3]}
    return file_suite(base | source, labels[label], splits, ["y"], {other: labels[other]})


def write_pets(root, trimaps):
    for breed, *_ in PETS:
        for k in range(1, 7):
            write_image(root / f"images/{breed}_{k}.jpg")
            write_image(root / trimaps / f"{breed}_{k}.png", mode="L", value=1)
    return root


@pytest.fixture
def pets(tmp_path):
    root = write_pets(tmp_path / "published", "annotations/trimaps")
    for file, numbers in (("trainval", (1, 2, 3)), ("test", (4, 5))):  # the sixth is not listed
        lines = [f"{name}_{k} {c} {s} {b}" for name, c, s, b in PETS for k in numbers]
        write_text(root / f"annotations/{file}.txt", "\n".join(lines))
    write_text(root / "images/Abyssinian_100.mat", "stray")
    write_text(root / "annotations/list.txt", "#Image CLASS-ID SPECIES BREED ID\n")
    return root


def test_pets_reads_the_published_lists(pets):
    rows = read_rows(pets_suite(), pets)
    assert rows["split"].value_counts().to_dict() == {"train": 6, "test": 4}
    assert rows["id"].tolist()[:4] == [
        *(f"Abyssinian_{k}" for k in (1, 2, 3)),
        "american_bulldog_1",
    ]
    assert rows["y"].tolist()[:4] == [0, 0, 0, 1]
    assert rows["a_species"].tolist()[2:4] == ["cat", "dog"]
    assert rows["mask"].iloc[0] == "annotations/trimaps/Abyssinian_1.png"
    species = read_rows(pets_suite("species"), pets)
    assert species["y"].tolist() == rows["y"].tolist()
    assert species["a_breed"].iloc[3] == "American Bulldog"


def test_pets_refuses_what_is_not_declared(pets):
    path = pets / "annotations/test.txt"
    path.write_text(
        path.read_text().replace("american_bulldog_4 2 2 1", "american_bulldog_4 2 3 1")
    )
    with pytest.raises(EnvironmentProblem, match='species "3"') as caught:
        read_rows(pets_suite(), pets)
    assert caught.value.where == f"{path}:3"
    path.write_text(path.read_text().replace("american_bulldog_4 2 3 1", "beagle_4 5 2 4"))
    with pytest.raises(EnvironmentProblem, match='breed "beagle"'):
        read_rows(pets_suite(), pets)


def test_pets_refuses_a_line_without_a_file(tmp_path):
    write_text(tmp_path / "labels.csv", "file,breed,species\n,Abyssinian,cat\n")
    with pytest.raises(EnvironmentProblem, match="no id or no path"):
        read_rows(pets_suite("species", {"test": 0}), tmp_path)


def test_pets_reads_a_table_and_draws_half_of_each_breed(tmp_path):
    root = write_pets(tmp_path, "trimaps")
    lines = [
        f"{name}_{k}.jpg,{name},{('cat', 'dog')[s - 1]},sample"
        for name, _, s, _ in PETS
        for k in range(1, 7)
    ]
    write_text(root / "labels.csv", "\n".join(["file,breed,species,source", *lines]))
    rows = read_rows(pets_suite(), root)
    counts = rows.groupby(["split", "y"]).size()
    assert counts.tolist() == [3, 3, 3, 3]
    assert rows["mask"].iloc[0].startswith("trimaps/Abyssinian_")
    write_text(root / "labels.csv", "\n".join(["file,breed,species,source", *lines[::-1]]))
    assert read_rows(pets_suite(), root).equals(rows)
    alone = read_rows(pets_suite(splits={"test": 0}), root)
    assert len(alone) == 12
    drawn = [{"split": "test", "of": "train", "per_cell": 1}]
    rows = read_rows(pets_suite(holdout=drawn), root)
    assert rows["split"].value_counts().to_dict() == {"train": 10, "test": 2}


RUNS = "3 2 4 1"


@pytest.fixture
def siim(tmp_path):
    """Two lesions of one image, blanks in the header and before the runs, both empty marks."""
    lines = [
        *("ImageId, EncodedPixels", f"a, {RUNS}", "a, 20 3", "b, -1", "c,-1", f"d,{RUNS}"),
        *("e, -1", "f, 0 1"),
    ]
    write_text(tmp_path / "train-rle.csv", "\n".join(lines))
    write_text(tmp_path / "tubes.csv", "ImageId,tube\na,1\nb,0\nc,1\nd,0\n")
    for name in "abcdef":
        write_image(tmp_path / f"png/{name}.png", (8, 8), "L")
    return tmp_path


def siim_suite(splits=None, tube=("no_tube", "tube", "unknown"), **changes):
    source = {
        "reader": "siim_rle",
        "images": "png",
        "lesions": "train-rle.csv",
        "tubes": "tubes.csv",
        "side": 8,
        **changes,
    }
    labels = ["clear", "pneumothorax"]
    return file_suite(source, labels, splits, ["y", "tube"], {"tube": list(tube)})


def test_siim_joins_lesions_and_tubes(siim):
    rows = read_rows(siim_suite(), siim).set_index("id")
    assert rows["split"].to_dict() == dict.fromkeys("ef", "train") | dict.fromkeys("abcd", "test")
    assert rows.loc[list("abcd"), "y"].tolist() == [1, 0, 0, 1]
    assert rows.loc[list("abcdef"), "a_tube"].tolist() == [
        *("tube", "no_tube", "tube", "no_tube", "unknown", "unknown")
    ]
    assert rows.loc["a", "mask"] == f"rle:8:{RUNS};20 3"
    assert rows.loc["b", "mask"] == ""
    assert rows.loc["a", "path"] == "png/a.png"
    alone = read_rows(siim_suite({"test": 0}, ["no_tube", "tube"]), siim)
    assert alone["id"].tolist() == list("abcd")


def test_siim_names_what_is_wrong(siim):
    write_text(siim / "tubes.csv", "ImageId,tube\na,1\nz,0\n")
    with pytest.raises(EnvironmentProblem, match=r"1 images of tubes.csv are not listed: z"):
        read_rows(siim_suite(), siim)
    rows = read_rows(siim_suite(), siim, partial=True)
    assert rows.loc[rows["split"] == "test", "id"].tolist() == ["a"]
    write_text(siim / "tubes.csv", "ImageId,tube\na,2\n")
    with pytest.raises(EnvironmentProblem, match='tube "2"'):
        read_rows(siim_suite(), siim)
    write_text(siim / "tubes.csv", "ImageId,tube\na,1\na,0\n")
    with pytest.raises(EnvironmentProblem, match="the image a is there twice"):
        read_rows(siim_suite(), siim)
    write_text(siim / "tubes.csv", "id,tube\na,1\n")
    with pytest.raises(EnvironmentProblem, match='no column "ImageId"'):
        read_rows(siim_suite(), siim)


@pytest.mark.parametrize(
    ("labels", "tube"), [(["a", "b", "c"], ["x", "y", "z"]), (["a", "b"], ["x", "y"])]
)
def test_siim_needs_a_value_for_images_without_annotation(labels, tube):
    source = {"reader": "siim_rle", "lesions": "a.csv", "tubes": "b.csv"}
    with pytest.raises(ValueError, match="the reader siim_rle has"):
        file_suite(source, labels, None, ["y"], {"tube": tube})


def hdf5_suite(**changes):
    source = {
        "reader": "hdf5",
        "files": {
            "train.h5": {"split": "train", "domain": "id"},
            "ood.h5": {"split": "test", "domain": "ood"},
        },
        "fields": {"biased": "g"},
        "codings": {"biased": {"0": "no", "1": "yes"}},
        **changes,
    }
    attributes = {"domain": ["id", "ood"], "biased": ["no", "yes"]}
    return file_suite(source, ["boat", "truck"], None, ["y", "domain"], attributes)


@pytest.fixture
def arrays(tmp_path):
    h5py = pytest.importorskip("h5py")
    for name, n in (("train", 4), ("ood", 2)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["images"] = [[[[k] * 3] * 5] * 4 for k in range(n)]
            file["y"] = [[k % 2] for k in range(n)]
            file["g"] = [k // 2 for k in range(n)]
    return tmp_path


def test_hdf5_lists_the_images_of_all_files(arrays):
    rows = read_rows(hdf5_suite(), arrays)
    assert rows["id"].tolist() == [
        *(f"train/{k:06d}" for k in range(4)),
        "ood/000000",
        "ood/000001",
    ]
    assert rows["path"].iloc[3] == "train.h5#3"
    assert rows["y"].tolist() == [0, 1, 0, 1, 0, 1]
    assert rows["a_domain"].tolist() == ["id"] * 4 + ["ood"] * 2
    assert rows["a_biased"].tolist() == ["no", "no", "yes", "yes", "no", "no"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image_key": "pictures"}, 'no array "pictures"'),
        ({"label_key": "images"}, "has no integer for each of 4 images"),
        ({"codings": {"biased": {"0": "no", "2": "yes"}}}, 'biased "1"'),
        ({"files": {"absent.h5": {"split": "test", "domain": "id"}}}, "cannot read the HDF5 file"),
    ],
)
def test_hdf5_names_what_is_wrong(changes, text, arrays):
    with pytest.raises(EnvironmentProblem, match=text):
        read_rows(hdf5_suite(**changes), arrays)


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(EnvironmentProblem) as caught:
        read_rows(hdf5_suite(), tmp_path)
    assert caught.value.next_step == "pip install 'ifambench[hdf5]'"


PLUGIN = """
from ifambench.data.readers import Item

READERS = {"dots": {"build": "read_dots", "summary": "made in a test"}}


def read_dots(suite, folder):
    for k in range(suite.source.options["number"]):
        split = ("train", "test")[k % 2]
        yield Item(f"d{k}", suite.source.options["path"].format(k), split, "dot", "here")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    write_text(tmp_path / "dots_plugin.py", PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = importlib.metadata.EntryPoint("dots", "dots_plugin", "ifambench.readers")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    registry._plugin_modules.cache_clear()
    yield tmp_path
    registry._plugin_modules.cache_clear()
    sys.modules.pop("dots_plugin", None)


def plugin_suite(**options):
    options = {"number": 4, "path": "dots/{}.png"} | options
    return file_suite({"reader": "plugin:dots", "options": options}, ["dot", "dash"])


def test_a_reader_of_another_package(plugin):
    for k in range(4):
        write_image(plugin / f"dots/{k}.png")
    rows = read_rows(plugin_suite(), plugin)
    assert rows["id"].tolist() == ["d0", "d2", "d1", "d3"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"path": "../{}.png"}, "is not a path below"),
        ({"path": "one.png"}, "the image file one.png is there twice"),
        ({"number": 0}, "there is no image of mini"),
        ({"number": 1}, 'no image of split "test"'),
    ],
)
def test_a_reader_of_another_package_is_checked_like_the_own_ones(options, text, plugin):
    for k in range(4):
        write_image(plugin / f"dots/{k}.png")
    with pytest.raises(EnvironmentProblem, match=text):
        read_rows(plugin_suite(**options), plugin)


def test_names_that_a_reader_makes_up_are_refused(plugin, tmp_path):
    write_image(plugin / "dots/0.png")
    path = tmp_path / "dots_plugin.py"
    for old, new, text in (
        ('"dot", "here"', '"comma", "here"', 'label "comma"'),
        ('("train", "test")', '("train2", "test2")', 'split "train2"'),
        ('f"d{k}"', '""', "no id"),
    ):
        path.write_text(PLUGIN.replace(old, new))
        sys.modules.pop("dots_plugin", None)
        with pytest.raises(EnvironmentProblem, match=text) as caught:
            read_rows(plugin_suite(), plugin)
        assert caught.value.where == "here"


def test_a_reader_that_is_not_installed_is_named():
    suite = file_suite({"reader": "plugin:absent"}, ["a", "b"])
    with pytest.raises(UsageError, match='the reader "absent"') as caught:
        read_rows(suite, None)
    assert "cub" in caught.value.choices
