"""Where suites are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ifambench.errors import UsageError
from ifambench.suites.catalog import load_suite, suite_names, user_folder
from tests.data.bird_files import SUITE


def write(folder: Path, name: str) -> None:
    path = folder / name / "suite.toml"
    path.parent.mkdir(parents=True)
    path.write_text(SUITE.replace("tinybirds", name), encoding="utf-8")


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "config"))
    monkeypatch.delenv("IFAMBENCH_SUITES", raising=False)
    return tmp_path / "config" / "ifambench" / "suites"


def test_suites_of_the_package_of_the_user_and_of_the_variable(home, tmp_path, monkeypatch):
    shipped = suite_names()
    assert user_folder() == home
    write(home, "mine")
    write(tmp_path / "ours", "ours")
    monkeypatch.setenv("IFAMBENCH_SUITES", str(tmp_path / "ours"))
    assert suite_names() == sorted([*shipped, "mine", "ours"])
    assert load_suite("mine").suite.id == "mine"
    assert load_suite("ours").path.parent.parent == tmp_path / "ours"


def test_the_same_folder_twice_is_one(home, monkeypatch):
    write(home, "mine")
    monkeypatch.setenv("IFAMBENCH_SUITES", str(home))
    assert "mine" in suite_names()


def test_a_name_that_is_there_twice_is_refused(home):
    write(home, "waterdigits")
    with pytest.raises(UsageError, match='suite "waterdigits" is there twice'):
        suite_names()


def test_many_invalid_entries_are_counted(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text("schema = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"\d+ invalid entries") as caught:
        load_suite(str(path))
    assert str(caught.value.where).count("is missing") == 5
    assert "more" in str(caught.value.where)
