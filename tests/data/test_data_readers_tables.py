"""Tables in the forms in which CelebA and ISIC publish them."""

from __future__ import annotations

import pytest

from ifambench.data.readers import read_rows
from ifambench.errors import EnvironmentProblem
from tests.data.file_suites import file_suite, write_image, write_text

HAIR = ["not_blond", "blond"]
SEXES = ["female", "male"]
# id, blond, male, partition
FACES = [
    ("000001", -1, -1, 0),
    ("000002", 1, -1, 0),
    ("000003", -1, 1, 1),
    ("000004", 1, 1, 2),
    ("000005", -1, -1, 2),
]


def celeba(**source):
    base = {
        "reader": "metadata_csv",
        "images": "img_align_celeba",
        "columns": {"id": "image_id", "path": "image_id"},
        "label": {"column": "Blond_Hair", "values": {"-1": "not_blond", "1": "blond"}},
        "split": {"column": "partition", "values": {"0": "train", "1": "val", "2": "test"}},
        "attributes": {"sex": {"column": "Male", "values": {"-1": "female", "1": "male"}}},
    }
    return file_suite(
        base | source,
        HAIR,
        {"train": 2, "val": 1, "test": 2},
        ["y", "sex"],
        {"sex": SEXES},
    )


CSV = celeba(
    metadata="list_attr_celeba.csv",
    join=[{"file": "list_eval_partition.csv", "on": "image_id"}],
)
TXT = celeba(
    metadata="list_attr_celeba.txt",
    separator="whitespace",
    join=[
        {"file": "list_eval_partition.txt", "on": "image_id", "names": ["image_id", "partition"]}
    ],
)


@pytest.fixture
def folder(tmp_path):
    """Both published forms: the text lists have a count, no name for the id, and no header."""
    for name, *_ in FACES:
        write_image(tmp_path / f"img_align_celeba/{name}.jpg")
    lines = [f"{n}.jpg {b:2d}  1 {m:2d} " for n, b, m, _ in FACES]
    write_text(
        tmp_path / "list_attr_celeba.txt",
        "\r\n".join(["5", "Blond_Hair Smiling Male ", *lines]) + "\r\n",
    )
    write_text(
        tmp_path / "list_eval_partition.txt", "\n".join(f"{n}.jpg {p}" for n, _, _, p in FACES)
    )
    write_text(
        tmp_path / "list_attr_celeba.csv",
        "image_id,Blond_Hair,Smiling,Male\n"
        + "\n".join(f"{n}.jpg,{b},1,{m}" for n, b, m, _ in FACES),
    )
    write_text(
        tmp_path / "list_eval_partition.csv",
        "image_id,partition\n" + "\n".join(f"{n}.jpg,{p}" for n, _, _, p in FACES[::-1]),
    )
    return tmp_path


@pytest.mark.parametrize("suite", [CSV, TXT], ids=["csv", "txt"])
def test_celeba_reads_the_same_from_both_forms(suite, folder):
    rows = read_rows(suite, folder)
    found = list(rows[["id", "y", "a_sex", "split"]].itertuples(index=False, name=None))
    splits = ("train", "val", "test")
    assert found == [(f"{n}.jpg", int(b == 1), SEXES[m == 1], splits[p]) for n, b, m, p in FACES]
    assert rows["path"].iloc[0] == "img_align_celeba/000001.jpg"
    assert rows["group"].tolist()[:3] == ["not_blond_female", "blond_female", "not_blond_male"]


def test_the_form_that_is_there_is_taken(folder):
    forms = [
        {
            "metadata": "list_attr_celeba.csv",
            "join": [{"file": "list_eval_partition.csv", "on": "image_id"}],
        }
    ]
    suite = celeba(
        metadata="list_attr_celeba.txt",
        separator="whitespace",
        join=[
            {
                "file": "list_eval_partition.txt",
                "on": "image_id",
                "names": ["image_id", "partition"],
            }
        ],
        other_forms=forms,
    )
    rows = read_rows(suite, folder)
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (folder / name).unlink()
    assert read_rows(suite, folder).equals(rows)
    (folder / "list_attr_celeba.csv").unlink()
    with pytest.raises(EnvironmentProblem, match="cannot read the table") as caught:
        read_rows(suite, folder)
    assert str(caught.value.where).endswith("list_attr_celeba.txt")


@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_an_image_without_a_partner_is_named(ending, folder):
    path = folder / f"list_eval_partition.{ending}"
    kept = [line for line in path.read_text().splitlines() if "000004" not in line]
    path.write_text("\n".join(kept))
    with pytest.raises(EnvironmentProblem, match=r"image_id 000004.jpg is not in .*partition"):
        read_rows(CSV if ending == "csv" else TXT, folder)


def test_a_partner_that_is_there_twice_is_named(folder):
    path = folder / "list_eval_partition.csv"
    path.write_text(path.read_text() + "\n000001.jpg,1")
    with pytest.raises(EnvironmentProblem, match=r"000001.jpg is there twice") as caught:
        read_rows(CSV, folder)
    assert str(caught.value.where).endswith("partition.csv:7")


def test_the_count_in_the_first_line_is_checked(folder):
    path = folder / "list_attr_celeba.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(EnvironmentProblem, match="has 4 lines, its first line promises 5"):
        read_rows(TXT, folder)


def test_a_column_may_be_missing_in_either_table(folder):
    path = folder / "list_eval_partition.csv"
    path.write_text(path.read_text().replace("image_id,", "name,"))
    with pytest.raises(EnvironmentProblem, match='no column "image_id"') as caught:
        read_rows(CSV, folder)
    assert "list_eval_partition.csv" in str(caught.value.where)
    path.write_text(path.read_text().replace("name,partition", "image_id,fold"))
    with pytest.raises(EnvironmentProblem, match='no column "partition"'):
        read_rows(CSV, folder)


def isic(**more):
    source = {
        "reader": "metadata_csv",
        "images": "images",
        "masks": "truth",
        "mask_suffix": "_segmentation.png",
        "tables": {name: f"isic_annotated_{name}1.csv" for name in ("train", "val", "test")},
        "path_suffix": ".jpg",
        "columns": {"id": "image", "path": "image"},
        "label": {"column": "label", "values": {"0": "benign", "1": "malignant"}},
        "attributes": {"ruler": {"column": "ruler", "values": {"0": "no", "1": "yes"}}},
        **more,
    }
    return file_suite(
        source,
        ["benign", "malignant"],
        {"train": 0, "val": 0, "test": 0},
        attributes={"ruler": ["no", "yes"]},
    )


@pytest.fixture
def lesions(tmp_path):
    """As published: every image of val is in the table of train, too."""
    tables = {"train": (1, 2, 3, 4), "val": (2, 4), "test": (5, 6)}
    for split, numbers in tables.items():
        lines = [f"ISIC_{k:07d},0,1,{k % 2},{k % 2}" for k in numbers]
        text = "\n".join(["image,dark_corner,hair,ruler,label", *lines])
        write_text(tmp_path / f"isic_annotated_{split}1.csv", text)
    for k in range(1, 7):
        write_image(tmp_path / f"images/ISIC_{k:07d}.jpg")
        write_image(tmp_path / f"truth/ISIC_{k:07d}_segmentation.png", mode="L")
    return tmp_path


def test_validation_images_are_taken_out_of_the_training_table(lesions):
    rows = read_rows(isic(leaked={"train": "val"}), lesions)
    counts = rows["split"].value_counts()
    assert counts.to_dict() == {"train": 2, "val": 2, "test": 2}
    assert rows["id"].tolist()[:3] == ["ISIC_0000001", "ISIC_0000003", "ISIC_0000002"]
    assert rows["mask"].iloc[0] == "truth/ISIC_0000001_segmentation.png"


def test_a_leak_that_the_suite_file_does_not_know_is_an_error(lesions):
    with pytest.raises(EnvironmentProblem, match="ISIC_0000002 is there twice"):
        read_rows(isic(), lesions)


def test_a_table_with_semicolons_can_be_joined(lesions):
    write_text(
        lesions / "isic_bias.csv",
        "image;patches\n" + "\n".join(f"ISIC_{k:07d};{k % 2}" for k in range(9, 0, -1)),
    )
    suite = isic(
        leaked={"train": "val"},
        join=[{"file": "isic_bias.csv", "on": "image", "separator": ";"}],
        attributes={"ruler": {"column": "patches", "values": {"0": "no", "1": "yes"}}},
    )
    rows = read_rows(suite, lesions)
    assert rows["a_ruler"].tolist() == ["yes", "yes", "no", "no", "yes", "no"]


def test_a_part_of_the_images_can_be_enough(lesions):
    (lesions / "images/ISIC_0000001.jpg").unlink()
    (lesions / "truth/ISIC_0000003_segmentation.png").unlink()
    for k in (5, 6):
        (lesions / f"images/ISIC_{k:07d}.jpg").unlink()
    suite = isic(leaked={"train": "val"})
    with pytest.raises(EnvironmentProblem, match="4 of 12 files of mini are missing"):
        read_rows(suite, lesions)
    rows = read_rows(suite, lesions, partial=True)
    assert rows["id"].tolist() == ["ISIC_0000003", "ISIC_0000002", "ISIC_0000004"]
    assert rows["mask"].eq("").tolist() == [True, False, False]
