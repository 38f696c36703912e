from __future__ import annotations

import pytest

from ifambench.data.readers import Item, read_rows
from ifambench.data.readers.frame import rows_of
from ifambench.errors import EnvironmentProblem
from tests.data.bird_files import bird_suite, table_rows, write_birds, write_table


@pytest.fixture
def folder(tmp_path):
    return write_birds(tmp_path)


@pytest.fixture
def suite(tmp_path):
    return bird_suite(tmp_path / "suites")


def changed(folder, line: int, **values: object) -> None:
    """Replace cells of one line of the table."""
    columns = ("img_id", "img_filename", "y", "split", "place", "place_filename")
    rows = [dict(zip(columns, row, strict=True)) for row in table_rows(folder)]
    rows[line] |= values
    write_table(folder, [tuple(row.values()) for row in rows])


def test_the_rows_have_the_columns_of_the_contract(folder, suite):
    rows = read_rows(suite, folder)
    assert list(rows.columns) == [
        *("id", "path", "split", "y", "group", "a_place", "mask", "variant", "fg_id", "bg_id")
    ]
    first = rows.iloc[0]
    assert first["id"] == "1"
    assert first["path"] == "images/004.Groove_billed_Ani/Bird_0000.jpg"
    assert first["mask"] == "masks/004.Groove_billed_Ani/Bird_0000.png"
    assert (first["y"], first["a_place"], first["group"]) == (0, "land", "landbird_on_land")
    assert first["bg_id"] == "/o/ocean/0.jpg"
    assert set(rows["variant"]) == {"original"}


def test_the_group_is_label_and_place(folder, suite):
    rows = read_rows(suite, folder)
    label = rows["y"].map({0: "landbird", 1: "waterbird"})
    assert (rows["group"] == label + "_on_" + rows["a_place"]).all()


def test_the_order_of_the_table_does_not_matter(folder, suite):
    rows = read_rows(suite, folder)
    write_table(folder, sorted(table_rows(folder)))
    assert read_rows(suite, folder).equals(rows)
    assert rows["split"].unique().tolist() == ["train", "val", "test"]
    assert rows.loc[rows["split"] == "train", "id"].tolist() == [str(k) for k in range(1, 25)]


def test_ids_that_are_no_numbers_are_sorted_as_text(folder, suite):
    write_table(folder, [(f"x{row[0]}", *row[1:]) for row in table_rows(folder)])
    ids = read_rows(suite, folder)["id"]
    assert ids.tolist()[:3] == ["x1", "x10", "x11"]


def test_the_coding_may_be_the_other_way_round(folder, tmp_path, suite):
    turned = bird_suite(
        tmp_path / "turned",
        ('{ 0 = "landbird", 1 = "waterbird" }', '{ 1 = "landbird", 0 = "waterbird" }'),
    )
    labels = read_rows(suite, folder)["y"]
    assert (read_rows(turned, folder)["y"] == 1 - labels).all()


def test_names_of_columns_may_have_blanks_around_and_a_byte_order_mark(folder, suite):
    rows = read_rows(suite, folder)
    path = folder / "metadata.csv"
    path.write_text("\ufeff" + path.read_text().replace(",y,", ", y,"), encoding="utf-8")
    assert read_rows(suite, folder).equals(rows)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"y": 2}, 'label "2" in column "y"'),
        ({"place": "sea"}, 'place "sea" in column "place"'),
        ({"split": 3}, 'split "3" in column "split"'),
        ({"y": ""}, 'label ""'),
        ({"img_id": ""}, "no id"),
        ({"img_filename": "../secret.jpg"}, "../secret.jpg"),
        ({"img_filename": "/etc/passwd"}, "/etc/passwd"),
        ({"img_filename": ""}, "not a path"),
        ({"img_filename": "."}, "not a path"),
        ({"img_filename": "a\\..\\..\\b.jpg"}, "not a path"),
        ({"img_filename": "C:\\b.jpg"}, "not a path"),
    ],
)
def test_a_wrong_cell_is_named_with_file_and_line(values, text, folder, suite):
    changed(folder, 4, **values)
    with pytest.raises(EnvironmentProblem) as caught:
        read_rows(suite, folder)
    assert text in caught.value.what
    assert caught.value.where == f"{folder / 'metadata.csv'}:6"


@pytest.mark.parametrize("values", [{"img_id": 48}, {"img_filename": None}])
def test_what_is_there_twice_is_named(values, folder, suite):
    first = table_rows(folder)[0]
    changed(folder, 4, **{name: value or first[1] for name, value in values.items()})
    with pytest.raises(EnvironmentProblem, match="is there twice") as caught:
        read_rows(suite, folder)
    assert str(caught.value.where).endswith("metadata.csv:6")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("img_id,img_filename,y,split,place_filename\n", 'no column "place"'),
        ("", 'no column "img_id"'),
        ("img_id,img_filename,y,split,place,place_filename\n", "lists no image"),
        ("img_id,img_filename,y,split,place,place_filename\n1,a.jpg,0\n", "as many cells"),
        ("img_id,img_filename,y,split,place,place_filename\n1,a.jpg,0,0,0,b,c\n", "as many cells"),
    ],
)
def test_a_table_of_another_form_is_refused(text, problem, folder, suite):
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(EnvironmentProblem, match=problem) as caught:
        read_rows(suite, folder)
    assert str(folder / "metadata.csv") in str(caught.value.where)


def test_a_table_that_is_no_text_is_refused(folder, suite):
    (folder / "metadata.csv").write_bytes(b"img_id\xff\n")
    with pytest.raises(EnvironmentProblem, match="cannot read the table"):
        read_rows(suite, folder)


def test_a_split_without_images_is_named(folder, suite):
    write_table(folder, [row for row in table_rows(folder) if row[3] != "1"])
    with pytest.raises(EnvironmentProblem, match='no image of split "val"'):
        read_rows(suite, folder)


def test_missing_files_are_counted_and_the_first_ones_named(folder, suite):
    for k in (3, 5, 7, 9):
        (folder / f"images/004.Groove_billed_Ani/Bird_{k:04d}.jpg").unlink()
    (folder / "masks/004.Groove_billed_Ani/Bird_0003.png").unlink()
    with pytest.raises(EnvironmentProblem) as caught:
        read_rows(suite, folder)
    assert caught.value.what.startswith("5 of 96 files of tinybirds are missing: ")
    assert "Bird_0003.jpg" in caught.value.what
    assert "Bird_0009" not in caught.value.what


def test_optional_masks_may_be_absent_as_a_whole_only(folder, tmp_path):
    change = ('masks = "masks"', 'masks = "segmentations"\nmasks_optional = true')
    suite = bird_suite(tmp_path / "optional", change)
    assert set(read_rows(suite, folder)["mask"]) == {""}
    (folder / "masks").rename(folder / "segmentations")
    rows = read_rows(suite, folder)
    assert rows["mask"].str.startswith("segmentations/").all()
    (folder / rows["mask"].iloc[0]).unlink()
    with pytest.raises(EnvironmentProblem, match="1 of 96 files"):
        read_rows(suite, folder)


def test_the_official_layout_has_the_images_beside_the_table(folder, tmp_path):
    for species in list((folder / "images").iterdir()):
        species.rename(folder / species.name)
    suite = bird_suite(tmp_path / "official", ('images = "images"\n', ""))
    assert read_rows(suite, folder)["path"].iloc[0].startswith("004.Groove_billed_Ani/")


def test_ids_that_are_the_same_number_keep_one_order(folder, suite):
    rows = table_rows(folder)
    rows[5] = (f"0{rows[3][0]}", *rows[5][1:])
    write_table(folder, rows)
    once = read_rows(suite, folder)
    write_table(folder, rows[::-1])
    assert read_rows(suite, folder).equals(once)


def test_a_column_that_is_there_twice_is_refused(folder, suite):
    path = folder / "metadata.csv"
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([f"{head},y", *(f"{line},0" for line in lines)]), encoding="utf-8")
    with pytest.raises(EnvironmentProblem, match='two columns "y"'):
        read_rows(suite, folder)


def test_a_path_is_no_run_length(folder, tmp_path):
    item = Item("1", "rle:/../../secret.png", "test", "landbird", "here", {"place": "land"})
    suite = bird_suite(tmp_path)
    with pytest.raises(EnvironmentProblem, match="not a path below"):
        rows_of(suite, folder, [item], partial=True)
