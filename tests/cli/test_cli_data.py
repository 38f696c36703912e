"""`ifambench data`: list, fetch, verify, path."""

from __future__ import annotations

import json

import pytest

from ifambench.cli import data_fetch
from ifambench.cli.data_app import COMMANDS
from tests.cli.test_cli_main import plain
from tests.data.bird_files import write_birds, write_suite
from tests.data.fetch.mirror import Page, running
from tests.data.fetch.support import make_zip
from tests.reports.golden_support import assert_golden


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("IFAMBENCH_SUITES", str(tmp_path / "suites"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("IFAMBENCH_OFFLINE", raising=False)


@pytest.fixture
def manual(tmp_path):
    """The suite `tinybirds`, which has no downloads."""
    return write_suite(tmp_path / "suites")


@pytest.fixture
def mirror(tmp_path):
    """A server with the images of the suite `tinybirds` in one zip."""
    folder = write_birds(tmp_path / "packed")
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    with running() as found:
        found.pages["/birds.zip"] = Page(make_zip(files))
        text = f'[[download]]\nname = "birds.zip"\nurls = ["{found.url}/birds.zip"]\n'
        text += 'archive = "zip"\n\n[protocol.standard]'
        write_suite(tmp_path / "suites", ("[protocol.standard]", text))
        yield found


@pytest.mark.parametrize("name", ["", *(name for name in COMMANDS if "build" not in name)])
def test_help_at_80_columns(name, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = cli("data", *([name] if name else []), "--help")
    assert shown.code == 0
    assert_golden(f"cli_data{f'_{name}' * bool(name)}.txt", plain(shown.out))


def test_fetch_then_verify_and_path(cli, mirror, tmp_path):
    root = tmp_path / "data"
    shown = cli("data", "fetch", "tinybirds", "--data-dir", root, "--accept-licence")
    assert shown.code == 0
    assert "no published hash: sha256" in shown.out
    assert "compare with a second machine" in shown.out
    assert "Licence of tinybirds: CC0" in shown.err
    again = cli("data", "fetch", "tinybirds", "--data-dir", root)
    assert again.code == 0
    assert "nothing to fetch" in again.out
    assert again.err == ""  # the licence was shown
    assert cli("data", "path", "tinybirds", "--data-dir", root).out == f"{root / 'tinybirds'}\n"
    shown = cli("data", "verify", "tinybirds", "--data-dir", root)
    assert (shown.code, shown.out) == (0, "no findings\n")
    fast = cli("data", "verify", "tinybirds", "--data-dir", root, "--fast")
    assert fast.out == "no findings; images were not opened (--fast)\n"


def test_fetch_as_json(cli, mirror, tmp_path):
    words = ("--data-dir", tmp_path / "data", "--accept-licence", "--format", "json")
    data = json.loads(cli("data", "fetch", "tinybirds", *words).out)
    assert data["fetched"][0]["url"] == f"{mirror.url}/birds.zip"
    assert len(data["fetched"][0]["sha256"]) == 64


def test_without_a_terminal_the_licence_needs_the_option(cli, mirror, tmp_path):
    shown = cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data")
    assert shown.code == 2
    assert "Licence of tinybirds: CC0" in shown.err
    assert "--accept-licence" in shown.err
    assert mirror.asked == []


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 2)])
def test_in_a_terminal_the_licence_is_asked_for(answer, code, cli, mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(data_fetch, "_asked", lambda: answer)
    shown = cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data")
    assert shown.code == code
    assert bool(mirror.asked) == answer


@pytest.mark.parametrize("words", [["--offline"], []])
def test_offline_lists_what_is_missing(words, cli, mirror, tmp_path, monkeypatch):
    if not words:
        monkeypatch.setenv("IFAMBENCH_OFFLINE", "1")
    shown = cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data", *words)
    assert shown.code == 3
    assert f"- birds.zip (size not known): {mirror.url}/birds.zip" in shown.err
    assert mirror.asked == []
    assert not (tmp_path / "data").exists()


def test_a_mirror_that_fails_is_exit_code_3(cli, mirror, tmp_path):
    mirror.pages["/birds.zip"] = Page(b"<html><title>Gone</title>")
    shown = cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data", "--accept-licence")
    assert shown.code == 3
    assert 'a web page came instead of the file: "Gone"' in shown.err
    assert str(tmp_path / "data/tinybirds/.ifambench/files/birds.zip") in shown.err


def test_an_archive_of_another_layout_is_told(cli, mirror, tmp_path):
    mirror.pages["/birds.zip"] = Page(make_zip({"elsewhere/metadata.csv": b"id"}))
    shown = cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data", "--accept-licence")
    assert shown.code == 3
    assert "they do not hold metadata.csv" in shown.err
    assert "strip, extract_to" in shown.err


def test_what_cannot_be_fetched_is_told_in_steps(cli, manual, tmp_path):
    shown = cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data")
    assert shown.code == 3
    assert "1. see https://example.org/birds" in shown.err
    assert "2. put the data into" in shown.err
    assert cli("data", "path", "tinybirds", "--data-dir", tmp_path / "data").code == 3
    assert cli("data", "verify", "tinybirds", "--data-dir", tmp_path / "data").code == 3
    write_birds(tmp_path / "data")
    assert cli("data", "fetch", "tinybirds", "--data-dir", tmp_path / "data").code == 0


def test_verify_shows_some_findings_and_json_all(cli, manual, tmp_path):
    folder = write_birds(tmp_path / "data")
    for image in sorted((folder / "images").rglob("*.jpg"))[:12]:
        image.write_bytes(b"no picture")
    words = ("data", "verify", "tinybirds", "--data-dir", tmp_path / "data")
    shown = cli(*words)
    assert shown.code == 1
    assert shown.out.count("unreadable: images/") == 10
    assert "unreadable: 2 more (--format json has all)" in shown.out
    assert "12 findings" in shown.err
    assert len(json.loads(cli(*words, "--format", "json").out)["findings"]) == 12


def test_list(cli, mirror, tmp_path):
    def row() -> dict:
        shown = cli("data", "list", "--data-dir", tmp_path / "data", "--format", "json")
        return {row["suite"]: row for row in json.loads(shown.out)}["tinybirds"]

    assert (row()["data"], row()["sizes_unknown"], row()["by_hand"]) == ("not found", 1, False)
    write_birds(tmp_path / "data")
    assert (row()["data"], row()["missing"]) == ("found", [])
    (tmp_path / "suites/broken").mkdir()
    (tmp_path / "suites/broken/suite.toml").write_text("schema = 1")
    shown = cli("data", "list", "--format", "markdown")
    assert shown.code == 0
    assert "| broken" in shown.out
    assert "size not known" in shown.out


def test_a_generated_suite_has_no_files(cli):
    for verb in ("fetch", "verify", "path"):
        shown = cli("data", verb, "waterdigits")
        assert shown.code == 2
        assert "is generated" in shown.err


def test_settings_of_the_file_reach_the_commands(cli, manual, tmp_path):
    (tmp_path / "ifambench.toml").write_text('format = "json"\n')
    assert isinstance(json.loads(cli("data", "list").out), list)


def test_verify_names_the_command_that_helps(cli, manual, tmp_path):
    folder = write_birds(tmp_path / "data")
    next((folder / "images").rglob("*.jpg")).write_bytes(b"no picture")
    shown = cli("data", "verify", "tinybirds", "--data-dir", tmp_path / "data")
    assert shown.code == 1
    assert "1 finding\n" in shown.out
    assert "correct the suite file" in shown.err
