"""suite init: a suite file for data of one's own, valid at once."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ifambench.data.draft.parts import attribute_name, split_names, suite_name
from ifambench.suites.catalog import load_suite, suite_names
from tests.cli.test_cli_main import plain
from tests.data.bird_files import write_birds
from tests.reports.golden_support import assert_golden


@pytest.fixture
def birds(tmp_path):
    return write_birds(tmp_path / "data") / "metadata.csv"


@pytest.fixture
def draft(cli, tmp_path):
    """Write a suite file; it is valid, and fits its data, before anything else is asked."""

    def write(data: Path, *words: object):
        out = tmp_path / "suite.toml"
        shown = cli("suite", "init", data, "--out", out, "--force", "--format", "json", *words)
        assert shown.code == 0, shown.err
        parent = (data if data.is_dir() else data.parent).parent
        assert cli("validate", out, "--data-dir", parent).code == 0
        return load_suite(str(out)).suite, json.loads(shown.out)["decisions"]

    return write


def image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (shade % 256, 0, 0)).save(path)


def table(folder: Path, columns: dict[str, list], name="list.csv", separator=",") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


def photos(folder: Path, n: int) -> list[str]:
    for k in range(n):
        image(folder / f"{k}.png", k)
    return [f"{k}.png" for k in range(n)]


def test_a_table_like_that_of_waterbirds(draft, birds):
    suite, decisions = draft(birds)
    assert (suite.id, suite.labels, suite.splits) == (
        "tinybirds",
        ["0", "1"],
        {"train": 24, "val": 8, "test": 16},
    )
    assert suite.groups.names == ["y0_place0", "y0_place1", "y1_place0", "y1_place1"]
    assert suite.groups.minority == ["y0_place1", "y1_place0"]
    assert suite.expected["train"].groups == [10, 2, 2, 10]
    assert (suite.source.images, suite.source.masks) == ("images", "masks")
    assert set(suite.source.fingerprint) == {"train", "val", "test"}
    assert 'label: column "y", 0, 1' in decisions


def test_the_file_explains_itself(cli, birds):
    assert cli("suite", "init", birds).code == 0
    text = Path("suite.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["source"]["columns"] == {"id": "img_id", "path": "img_filename"}
    for comment in ("# Value in the table -> declared name", "# [recipe.vit]", "# [[variant]]"):
        assert comment in text


def test_what_is_asked_for_comes_before_what_is_guessed(draft, birds):
    words = ("--name", "mine", "--label", "place", "--attribute", "y", "--id", "img_filename")
    suite, _ = draft(birds, *words, "--split", "split", "--image-column", "img_filename")
    assert (suite.id, list(suite.attributes)) == ("mine", ["a_y"])
    assert suite.source.label.column == "place"
    assert suite.source.columns.id == "img_filename"


def test_a_table_without_splits(draft, tmp_path):
    files = photos(tmp_path / "mine", 40)
    columns = {"file": files, "species": ["cat", "dog"] * 20, "weight": range(40)}
    suite, decisions = draft(table(tmp_path / "mine", columns, separator=";"))
    assert suite.splits == {"train": 28, "val": 4, "test": 8}
    assert suite.groups.names == ["cat", "dog"]
    assert suite.source.separator == ";"
    assert suite.protocol["standard"].selection == "best_val_accuracy"
    assert "split: no column tells it" in decisions


def test_the_minority_is_what_is_rare_with_its_label_in_training(draft, tmp_path):
    cells = [*("ab" * 6), *("ba" * 2), *("ca" * 4), *("cb" * 4)]
    labels, places = cells[::2], cells[1::2]
    n = len(labels)
    columns = {"path": photos(tmp_path / "mine", 2 * n), "y": labels * 2, "bg": places * 2}
    columns["split"] = ["train"] * n + ["test"] * n
    suite, _ = draft(table(tmp_path / "mine", columns))
    assert suite.groups.names == ["a_a", "a_b", "b_a", "b_b", "c_a", "c_b"]
    # a is always with b, b always with a, c with both alike
    assert suite.groups.minority == []
    assert suite.groups_in("test") == ("a_b", "b_a", "c_a", "c_b")


@pytest.mark.parametrize("heads", [("train", "val", "test"), ("training", "validation"), ()])
@pytest.mark.parametrize("below", [(), ("sofa", "bench")])
def test_folders(heads, below, draft, tmp_path):
    folder = tmp_path / "My Pets"
    for split, label, ground in product(heads or ("",), ("cat", "dog"), below or ("",)):
        for k in range(10):
            image(folder / split / label / ground / f"{k}.jpg", k)
    (folder / ".cache").mkdir()
    image(folder / ".cache" / "thumb.jpg")
    suite, _ = draft(folder, *(["--attribute", "ground"] if below else []))
    assert (suite.id, suite.labels) == ("my-pets", ["cat", "dog"])
    assert list(suite.splits) == ["train", "val", "test"]
    assert sum(suite.splits.values()) == 20 * max(1, len(heads)) * max(1, len(below))
    assert list(suite.attributes) == (["ground"] if below else [])
    n = 10 if len(heads) != 0 else 2
    assert suite.expected["test"].groups == [n] * 2 * max(1, len(below))


def test_masks_beside_the_images(draft, tmp_path):
    folder = tmp_path / "mine"
    for label, k in product(("cat", "dog"), range(10)):
        image(folder / "images" / label / f"{k}.jpg")
        image(folder / "masks" / label / f"{k}.png")
    suite, _ = draft(folder)
    assert (suite.source.images, suite.source.masks) == ("images", "masks")
    assert suite.labels == ["cat", "dog"]


def test_only_test_images_are_evaluated_with_given_weights(draft, tmp_path):
    for label, k in product(("cat", "dog"), range(3)):
        image(tmp_path / "mine" / "test" / label / f"{k}.jpg")
    suite, _ = draft(tmp_path / "mine")
    assert suite.splits == {"test": 6}
    assert suite.protocol["standard"].selection == "none"


def columns_of(tmp_path: Path, **more: list) -> Path:
    n = 12
    files = photos(tmp_path / "mine", n)
    return table(
        tmp_path / "mine", {"path": files} | {k: v * (n // len(v)) for k, v in more.items()}
    )


@pytest.mark.parametrize(
    ("more", "words", "text"),
    [
        ({"y": ["a", "b"], "label": ["c", "d"]}, (), "2 columns could be the label: y, label"),
        ({"p": ["a", "b"], "q": ["c", "d"]}, (), "2 columns could be the label: p, q"),
        ({"y": ["a"]}, (), "only one label, a: a suite has between 2 and 1,000"),
        ({"y": ["a", ""]}, (), "images without a label"),
        ({"y": ["a", "b"]}, ("--label", "lable"), 'no column "lable"'),
        ({"label": ["a", "b"]}, ("--label", "lable"), "did you mean label?"),
        ({"y": ["a", "b"], "s": ["u", "v"]}, ("--split", "s"), "does not hold splits: it has u, v"),
        (
            {"y": ["a", "b"]},
            ("--label", "y", "--attribute", "y"),
            'the column "y" is taken already',
        ),
        ({"y": ["a", "b"]}, ("--id", "y"), 'the column "y" has a value twice'),
        ({"y": ["a", "b"], "file": ["1.png", "2.png"]}, (), "2 columns could be the image file"),
        ({"y": ["a", "b"]}, ("--images", "photos"), 'no image "0.png" in'),
        ({"y": ["a", "b"]}, ("--masks", "shapes"), 'no mask "0.png" in shapes'),
        ({"y": ["a", "b"]}, ("--name", "waterdigits"), 'there is a suite "waterdigits" already'),
        ({"y": ["a", "b"]}, ("--name", "My Suite"), "for instance --name my-suite"),
        ({"y": ["a", "b"], "split": ["train", "holdout"]}, (), "it has holdout, train"),
        (
            {"label": ["a", "b"], "y": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3]},
            (),
            "valid: label, y",
        ),
        ({"y": ["a", "b"]}, ("--out", "suite.txt"), "does not end in .toml"),
    ],
)
def test_what_is_not_clear_is_asked(more, words, text, cli, tmp_path):
    shown = cli("suite", "init", columns_of(tmp_path, **more), *words)
    assert shown.code == 2
    assert text in shown.err
    assert not Path("suite.toml").exists()


def test_nonsense_is_refused(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "there are no images" in cli("suite", "init", tmp_path / "empty").err
    assert cli("suite", "init", tmp_path / "nowhere").code == 3
    (tmp_path / "x.parquet").touch()
    assert cli("suite", "init", tmp_path / "x.parquet").code == 2
    (tmp_path / "x.csv").touch()
    assert cli("suite", "init", tmp_path / "x.csv").code == 3
    image(tmp_path / "odd" / "cat" / "1.png")
    image(tmp_path / "odd" / "dog" / "deep" / "1.png")
    assert "do not all lie equally deep" in cli("suite", "init", tmp_path / "odd").err
    assert "no columns" in cli("suite", "init", tmp_path / "odd", "--label", "y").err
    image(tmp_path / "flat" / "1.png")
    shown = cli("suite", "init", tmp_path / "flat")
    assert (shown.code, "not lie in folders of classes: 1.png" in shown.err) == (2, True)
    image(tmp_path / "one" / "cat" / "1.png")
    shown = cli("suite", "init", tmp_path / "one")
    assert (shown.code, "a folder for each class" in shown.err) == (2, True)


def test_the_image_that_is_missing_is_named(cli, tmp_path):
    path = columns_of(tmp_path, y=["a", "b"])
    missing = next(iter(sorted((tmp_path / "mine").rglob("3.png"))))
    missing.unlink()
    shown = cli("suite", "init", path)
    assert shown.code == 2
    assert f'no image "{missing.name}" in {path.parent}' in shown.err


def test_a_table_in_another_encoding_is_named(cli, tmp_path):
    path = columns_of(tmp_path, y=["a", "b"])
    path.write_bytes("path,y\nbär.png,a\n".encode("latin-1"))
    shown = cli("suite", "init", path)
    assert (shown.code, "not in UTF-8" in shown.err) == (2, True)


def test_the_commands_that_follow_survive_spaces(cli, tmp_path):
    for number in range(12):
        image(tmp_path / "my data" / "pets" / ("cat", "dog")[number % 2] / f"{number}.png")
    shown = cli("suite", "init", tmp_path / "my data" / "pets", "--out", "my suite.toml")
    assert f"next: ifambench validate 'my suite.toml' --data-dir '{tmp_path}/my data'" in shown.out


def test_more_than_a_thousand_labels_are_refused(cli, tmp_path):
    image(tmp_path / "many" / "0.png")
    n = 1001
    path = table(tmp_path / "many", {"path": ["0.png"] * n, "y": range(n)})
    assert "1,001 labels" in cli("suite", "init", path, "--label", "y").err


def test_help_at_80_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = cli("suite", "init", "--help")
    assert_golden("cli_suite_init.txt", plain(shown.out))


def test_a_file_is_not_overwritten(cli, birds):
    assert cli("suite", "init", birds).code == 0
    before = Path("suite.toml").read_bytes()
    shown = cli("suite", "init", birds, "--label", "place", "--attribute", "y")
    assert (shown.code, "is there already" in shown.err) == (2, True)
    assert Path("suite.toml").read_bytes() == before
    words = ("--label", "place", "--attribute", "y", "--force")
    assert cli("suite", "init", birds, *words).code == 0
    assert Path("suite.toml").read_bytes() != before


@given(st.text(max_size=12))
def test_names_are_always_allowed(text):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", suite_name(text))
    assert re.fullmatch(r"[a-z][a-z0-9_]*", attribute_name(text))
    assert attribute_name(text) not in ("y", "split", "name")


def test_split_names():
    assert split_names(["0", "1", "2"]) == {"0": "train", "1": "val", "2": "test"}
    assert split_names(["train", "training"]) is None
    assert split_names([]) is None


def test_no_shipped_suite_is_called_as_a_draft_by_default():
    assert suite_name("") not in suite_names()
