from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ifambench import registry as registry_module
from ifambench.errors import UsageError
from ifambench.registry import Registry

PLUGIN = """
    raise_when_imported = True
    EXPLAINERS: dict = {
        "one": {"build": "make_one", "summary": "the first", "needs": ["trace"]},
        "two": {"build": "make_two", "summary": "the second"},
    }
    def make_one(): return 1
    def make_two(): return 2
"""


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    """A package of explainers made of the given files; its name is unique to the test."""
    name = f"plug_{abs(hash(request.node.nodeid))}"

    def make(**files):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        for stem, source in files.items():
            (folder / f"{stem}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        return Registry(kind="explainer", package=name, constant="EXPLAINERS")

    return make


def test_entries_are_read_without_import(package):
    found = package(a=PLUGIN, b="import does_not_exist").entries()
    assert list(found) == ["one", "two"]
    assert found["one"].summary == "the first"
    assert found["one"].info == {"summary": "the first", "needs": ["trace"]}
    assert found["one"].module not in sys.modules


def test_load_imports_the_module_and_returns_the_object(package):
    registry = package(a=PLUGIN)
    assert registry.load("two")() == 2


def test_an_unknown_name_names_the_nearest(package):
    with pytest.raises(UsageError) as caught:
        package(a=PLUGIN).entry("onne")
    assert "did you mean one?" in caught.value.what
    assert caught.value.next_step == "ifambench list explainers"


def test_an_empty_or_missing_package_has_no_entries(package):
    assert package().entries() == {}
    assert Registry("model", "ifambench.nothing_here", "MODELS").entries() == {}


def test_a_plugin_offers_entries(package, monkeypatch, tmp_path):
    registry = package(a=PLUGIN)
    (tmp_path / "outside.py").write_text('EXPLAINERS = {"new": {"build": "f"}}', encoding="utf-8")
    monkeypatch.setattr(registry_module, "_plugin_modules", lambda group: ("outside",))
    assert registry.entry("new").module == "outside"
    assert registry.problems() == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "cannot be found"),
        ('EXPLAINERS = {"one": {"build": "f"}}', "one is there already"),
        ("EXPLAINERS = make()", "malformed"),
        ("EXPLAINERS = {", "never closed"),
        ('EXPLAINERS = {"new": {}}', "build"),
    ],
)
def test_a_broken_plugin_is_reported_and_breaks_nothing(
    package, monkeypatch, tmp_path, source, reason
):
    registry = package(a=PLUGIN)
    before = registry.entries()
    if source is not None:
        (tmp_path / "broken.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(registry_module, "_plugin_modules", lambda group: ("broken",))
    assert registry.entries() == before
    assert len(registry.problems()) == 1
    assert "broken" in registry.problems()[0]
    assert reason in registry.problems()[0]


@pytest.mark.parametrize(
    ("package_name", "constant", "name"),
    [
        ("ifambench.models", "MODELS", "vit-micro"),
        ("ifambench.models", "MODELS", "ifam-vit-micro"),
        ("ifambench.explain.methods", "EXPLAINERS", "random"),
        ("ifambench.metrics", "METRICS", "worst_group_accuracy"),
    ],
)
def test_the_built_in_catalogues(package_name, constant, name):
    entries = Registry("thing", package_name, constant).entries()
    assert name in entries
    assert all(entry.summary for entry in entries.values())


def test_reading_the_catalogues_imports_nothing_heavy():
    code = """
        import sys
        from ifambench.registry import Registry
        Registry("model", "ifambench.models", "MODELS").names()
        Registry("explainer", "ifambench.explain.methods", "EXPLAINERS").names()
        print(sorted({"torch", "timm", "numpy", "pandas"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    root = str(Path(__file__).resolve().parents[1])
    environ = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "[]"
