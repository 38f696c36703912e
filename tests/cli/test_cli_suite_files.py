"""list, show, validate and run for a suite that is read from files."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from ifambench.suites.catalog import _read as load_file
from tests.cli.conftest import python
from tests.data.bird_files import table_rows, write_birds, write_suite, write_table


@pytest.fixture(autouse=True)
def suites(tmp_path, monkeypatch):
    """The suite `tinybirds` among the names, its data nowhere."""
    path = write_suite(tmp_path / "suites")
    monkeypatch.setenv("IFAMBENCH_SUITES", str(tmp_path / "suites"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "nowhere"))
    return path


@pytest.fixture
def data(tmp_path):
    return write_birds(tmp_path / "data").parent


def state(cli) -> str:
    rows = json.loads(cli("list", "suites", "--format", "json").out)
    return {row["suite"]: row["data"] for row in rows}["tinybirds"]


def test_list_tells_whether_the_data_are_there(cli, data, monkeypatch):
    assert state(cli) == "not found"
    monkeypatch.setenv("IFAMBENCH_DATA", str(data))
    assert state(cli) == "found"


def test_show_tells_where_they_are_or_how_to_get_them(cli, data):
    shown = cli("show", "tinybirds")
    assert shown.code == 0
    assert "not found in" in shown.out
    assert "https://example.org/birds" in shown.out
    shown = cli("show", "tinybirds", "--data-dir", data, "--format", "json")
    assert json.loads(shown.out)["data"] == {"state": "found", "folder": str(data / "tinybirds")}
    assert "found:" in cli("show", "tinybirds", "--data-dir", data).out


def test_contact_sheet(cli, data, tmp_path):
    out = tmp_path / "sheet.png"
    assert cli("show", "tinybirds", "--images", 2, "--out", out).code == 3
    assert cli("show", "tinybirds", "--images", 2, "--out", out, "--data-dir", data).code == 0
    assert Image.open(io.BytesIO(out.read_bytes())).size == (190 + 2 * 120 + 8, 26 + 8 * 120 + 8)


def test_validate(cli, data, tmp_path):
    assert "were not checked" in cli("validate", "tinybirds").out
    assert cli("validate", "tinybirds").code == 0
    assert cli("validate", "tinybirds", "--data-dir", tmp_path / "typo").code == 3
    good, note = cli("validate", "tinybirds", "--data-dir", data).out.splitlines()
    assert good == "tinybirds: no findings"
    assert "test: groups with fewer than 30 images: landbird_on_land 4" in note
    folder = data / "tinybirds"
    write_table(folder, [(*row[:4], "2", row[5]) for row in table_rows(folder)])
    shown = cli("validate", "tinybirds", "--data-dir", data)
    assert shown.code == 1
    assert 'place "2"' in shown.out
    assert "metadata.csv:2" in shown.out


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("[recipe.vit]", "[recipe.oracl]"), 'recipe.oracl is for no model: "oracl" (did you mean'),
        (("[recipe.vit]", '[recipe."vit+grupdro"]'), "did you mean vit+groupdro?"),
        (("[recipe.vit]", "[recipe.vit]\nepoch = 1"), "epoch"),
        (("n = 16", "n = 17"), "expected.test.n is 17, splits.test is 16"),
        (("[4, 4, 4, 4]", "[4, 4, 4, 5]"), "expected.test.groups add up to 17, not to 16"),
        (("[4, 4, 4, 4]", "[4, 4, 9, -1]"), "add up to 17 and more"),
        (("[recipe.vit]", "[source.fingerprint]\nvals = 1\n[recipe.vit]"), "fingerprint.vals"),
        (("[expected.test]", "[expected.test]\ng = 1"), "expected.test.g: unknown key"),
        (('= ["original"]', '= ["original"]\nprimary = "wga"'), 'names no metric: "wga"'),
        (
            ("[recipe.vit]", "[protocol.standard.metrics.bg_gapp]\n[recipe.vit]"),
            'metrics names no metric: "bg_gapp" (did you mean bg_gap?)',
        ),
        (
            ("[recipe.vit]", '[[reference]]\nmodel = "A"\nmetric = "accuracy"\nvalue = 0.5\n'
             'source = " "\nmark = "secondary"\n[recipe.vit]'),
            "reference 1 (A, accuracy) has no source",
        ),
        (('id = "tinybirds"', 'id = "birds"'), 'id is "birds", but the folder'),
    ],
)  # fmt: skip
def test_validate_finds_what_the_schema_accepts(change, text, cli, tmp_path):
    write_suite(tmp_path / "suites", change)
    load_file.cache_clear()
    shown = cli("validate", "tinybirds", "--format", "json")
    assert shown.code == 1
    assert any(text in line for line in json.loads(shown.out)["findings"]), shown.out


def test_what_a_protocol_does_not_use_may_be_absent(cli, tmp_path):
    changes = [("val = 8\n", ""), ("[expected.val]\nn = 8\ngroups = [2, 2, 2, 2]\n", "")]
    changes += [(', 1 = "val"', ""), ("best_val_accuracy", "last")]
    write_suite(tmp_path / "suites", *changes)
    load_file.cache_clear()
    assert cli("validate", "tinybirds").code == 0
    write_suite(tmp_path / "suites", *changes[:-1])
    load_file.cache_clear()
    shown = cli("validate", "tinybirds")
    assert "protocol.standard.select_split is not in [splits]" in shown.out


def test_deep_validation_opens_the_images(cli, data):
    first, second = sorted((data / "tinybirds/images").rglob("*.jpg"))[:2]
    first.write_bytes(b"no image")
    words = ("validate", "tinybirds", "--data-dir", data)
    assert cli(*words).code == 0
    shown = cli(*words, "--deep")
    assert shown.code == 1
    assert first.name in shown.out
    assert second.name not in shown.out


def test_a_group_that_has_no_image_is_found_without_counts(cli, data, tmp_path):
    counts = "[expected.test]\nn = 16\ngroups = [4, 4, 4, 4]\n"
    write_suite(tmp_path / "suites", (counts, ""), ("test = 16", "test = 0"))
    load_file.cache_clear()
    folder = data / "tinybirds"
    rows = [row for row in table_rows(folder) if row[2:5] != ("1", "2", "1")]
    write_table(folder, rows)
    shown = cli("validate", "tinybirds", "--data-dir", data)
    assert shown.code == 1
    assert "0 images, expected some (test, group waterbird_on_water)" in shown.out


def test_validate_all(cli, suites):
    for words in (("validate",), ("validate", "--all")):
        shown = cli(*words, "--format", "json")
        assert shown.code == 0
        rows = {row["suite"]: row for row in json.loads(shown.out)}
        assert {"tinybirds", "waterdigits"} <= rows.keys()
        assert {row["data"] for row in rows.values()} == {"not checked"}
    suites.write_text("schema = 1", encoding="utf-8")
    load_file.cache_clear()
    shown = cli("validate")
    assert shown.code == 1
    assert "tinybirds: " in shown.out
    assert "waterdigits: no findings" in shown.out
    assert cli("validate", "--all", "waterdigits").code == 2
    assert cli("validate", "--deep").code == 2


def test_listing_and_validating_everything_imports_nothing_heavy():
    heavy = "{'torch', 'timm', 'sklearn', 'scipy', 'matplotlib', 'captum', 'PIL'}"
    for words in (["validate"], ["list", "suites"], ["show", "waterbirds"]):
        code = f"import sys; from ifambench.cli import main; main({words}); "
        code += f"print('heavy:', sorted({heavy} & set(sys.modules)))"
        assert python(code).stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("verb", ["run", "train"])
def test_a_suite_file_by_option(verb, cli, data, suites, pipeline):
    words = (verb, "--suite-file", suites, "--model", "vit-micro", "--data-dir", data)
    assert cli(*words).code == 0
    assert pipeline.asked[0].suite == str(suites)
    shown = cli(*words, "waterdigits")
    assert (shown.code, "are both given" in shown.err) == (2, True)
    assert cli(verb, "--model", "vit-micro").code == 2
    assert cli(verb, "--model", "vit-micro", "--suite-file", "birds.txt").code == 2


def test_show_and_validate_take_a_suite_file(cli, suites):
    assert "Tiny birds" in cli("show", "--suite-file", suites).out
    assert cli("validate", "--suite-file", suites).code == 0
    assert cli("show").code == 2


def test_list_tells_what_a_suite_has(cli):
    rows = {row["suite"]: row for row in json.loads(cli("list", "suites", "--format", "json").out)}
    assert rows["tinybirds"] | {"version": "", "summary": ""} == {
        "suite": "tinybirds",
        "version": "",
        "kind": "group_shift",
        "classes": 2,
        "groups": 4,
        "test images": 16,
        "masks": "yes",
        "status": "ok",
        "data": "not found",
        "title": "Tiny birds",
        "summary": "",
    }
    assert rows["waterbirds"]["masks"] == "extra"
    assert rows["cub-waterbirds-ood"]["classes"] == 200


def test_tables_are_no_wider_than_80_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for words in (("list", "suites"), ("show", "waterbirds"), ("show", "cub-waterbirds-ood")):
        assert max(map(len, cli(*words).out.splitlines())) <= 80


def test_show_tells_everything(cli):
    shown = cli("show", "waterbirds", "--format", "markdown").out
    for text in (
        "https://data.caltech.edu/records/w9d68-gec53/files/segmentations.tgz",  # a download
        "https://downloads.cs.stanford.edu/nlp/data/dro/",  # a mirror
        "licence: ",
        "39.3 MB",
        "best\\_val\\_worst\\_group\\_accuracy",  # selection of a protocol
        "secondary",  # the mark of a number
        "2,255",  # an expected count
        "Eastern Towhee",  # a known issue
    ):
        assert text.replace("\\_", "_") in shown.replace("\\_", "_"), text
    shown = cli("show", "cub-waterbirds-ood").out
    assert "001.Black_footed_Albatross" in shown
    assert "199.Winter_Wren" not in shown
    assert "(200 in all)" in shown


def test_missing_files_end_a_run_before_it_starts(cli, data, pipeline):
    words = ("run", "tinybirds", "--model", "vit-micro")
    assert cli(*words).code == 3
    (data / "tinybirds/images/008.Rhinoceros_Auklet/Bird_0047.jpg").unlink()
    shown = cli(*words, "--data-dir", data)
    assert shown.code == 3
    assert "1 of 96 files of tinybirds are missing" in shown.err
    assert pipeline.asked == []


@pytest.mark.parametrize("verb", ["run", "train"])
def test_the_folder_reaches_the_pipeline(verb, cli, data, pipeline):
    assert cli(verb, "tinybirds", "--model", "vit-micro", "--data-dir", data).code == 0
    assert pipeline.asked[0].data_dir == data


def test_a_generated_suite_needs_no_folder(cli, pipeline):
    assert cli("run", "waterdigits", "--model", "vit-micro").code == 0
    assert pipeline.asked[0].data_dir is None
