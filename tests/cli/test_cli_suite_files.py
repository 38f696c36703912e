"""list, show, validate and run for a suite that is read from files."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

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
    assert cli("validate", "tinybirds", "--data-dir", data).out == "tinybirds: no findings\n"
    folder = data / "tinybirds"
    write_table(folder, [(*row[:4], "2", row[5]) for row in table_rows(folder)])
    shown = cli("validate", "tinybirds", "--data-dir", data)
    assert shown.code == 1
    assert 'place "2"' in shown.out
    assert "metadata.csv:2" in shown.out


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
