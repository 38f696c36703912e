from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ifambench.errors import UsageError
from ifambench.suites.catalog import load_suite, suite_names
from ifambench.suites.spec import Suite, protocol_of

SPEC = Path(__file__).resolve().parents[2] / "suites/waterdigits/suite.toml"


@pytest.fixture
def changed(tmp_path):
    """A suite file with one piece of text replaced."""

    def write(old: str, new: str) -> Path:
        text = SPEC.read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "suite.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return write


def test_the_embedded_suite_is_valid_by_name_and_by_path():
    assert "waterdigits" in suite_names()
    by_name, by_path = load_suite("waterdigits"), load_suite(str(SPEC))
    assert by_name.suite == by_path.suite
    assert by_name.digest == by_path.digest
    assert by_name.suite.major == 1


def test_the_digest_is_that_of_the_bytes(changed):
    assert (
        load_suite(str(changed("schema = 1", "schema = 1 "))).digest != load_suite(str(SPEC)).digest
    )


def test_all_declared_counts_agree():
    suite = load_suite("waterdigits").suite
    for split, expected in suite.expected.items():
        assert expected.n == suite.splits[split] == sum(expected.groups)
        assert len(expected.groups) == len(suite.groups.names)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("licence = ", "license = ", "suite.toml:licence"),
        ('title = "Waterdigits"', 'title = "W"\ncolour = 1', "suite.toml:colour"),
        ('kind = "group_shift"', 'kind = "other"', "suite.toml:kind"),
        ('version = "1.0.0"', 'version = "1"', "suite.toml:version"),
        ("schema = 1", "schema = 2", "suite.toml:schema"),
        ("[protocol.standard]", "[protocol.standard]\nfast = 1", "suite.toml:protocol.standard"),
        ("steps = 16", "steps = 0", "suite.toml:protocol.standard.explain.steps"),
        ('selection = "last"', 'selection = "best"', "suite.toml:protocol.standard.selection"),
        ("train = 2000", 'train = "many"', "suite.toml:splits.train"),
        ('generator = "waterdigits"', 'generator = "os.system"', "suite.toml:generation.generator"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(old, new, where, changed):
    with pytest.raises(UsageError) as caught:
        load_suite(str(changed(old, new)))
    assert where in str(caught.value.where)
    assert "suite.toml" in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (', "one_on_water"]', "]", "groups.names must have 4 names, has 3"),
        ('by = ["y", "place"]', 'by = ["y", "colour"]', "groups.by names no attribute: 'colour'"),
        ('by = ["y", "place"]', "by = []", "must have 1 names, has 4"),
        ('minority = ["zero_on_water"', 'minority = ["zero_at_sea"', "zero_at_sea"),
        ('labels = ["zero", "one"]', 'labels = ["zero", "one", "two"]', "must have 6 names"),
        ('id = "waterdigits"', 'id = "../elsewhere"', "id"),
        ('selection = "last"', 'selection = "val_wga"', "selection"),
        ('selection = "last"', 'selection = "last"\nselect_split = "test"', "eval_split"),
        ("seed = 7411", "seed = -5", "generation.seed"),
        ("train = 2000", "dev = 2000", "splits"),
        ("images = 160", "images = -1", "images"),
        ("schema = 1", 'schema = 1\ndefault_protocol = "fast"', "default_protocol 'fast'"),
    ],
)
def test_parts_must_fit_together(old, new, text, changed):
    with pytest.raises(UsageError) as caught:
        load_suite(str(changed(old, new)))
    assert text in str(caught.value.where)


def test_a_file_that_is_not_toml_is_named(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_bytes(b"schema = \xff")
    with pytest.raises(UsageError) as caught:
        load_suite(str(path))
    assert caught.value.where == str(path)


def test_a_missing_file_and_an_unknown_name(tmp_path):
    with pytest.raises(UsageError, match="no suite file"):
        load_suite(str(tmp_path / "suite.toml"))
    with pytest.raises(UsageError, match="did you mean waterdigits"):
        load_suite("waterdigit")


def test_a_further_folder_of_suites(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    text = SPEC.read_text(encoding="utf-8").replace('id = "waterdigits"', 'id = "mine"')
    (tmp_path / "mine/suite.toml").write_text(text, encoding="utf-8")
    before = suite_names()
    monkeypatch.setenv("IFAMBENCH_SUITES", str(tmp_path))
    assert suite_names() == sorted([*before, "mine"])
    assert load_suite("mine").suite.id == "mine"


def test_protocol_of():
    suite = load_suite("waterdigits").suite
    assert protocol_of(suite, None)[0] == suite.default_protocol
    assert protocol_of(suite, "standard")[1] is suite.protocol["standard"]
    with pytest.raises(UsageError) as caught:
        protocol_of(suite, "standart")
    assert "did you mean standard" in caught.value.what
    assert caught.value.next_step == "ifambench show waterdigits"


def test_a_suite_cannot_be_changed_after_reading():
    suite = load_suite("waterdigits").suite
    with pytest.raises(ValidationError):
        suite.id = "other"


def test_the_schema_is_closed_everywhere():
    def closed(schema):
        return schema.get("additionalProperties") is False or "enum" in schema

    schema = Suite.model_json_schema()
    assert closed(schema)
    assert all(closed(part) for part in schema["$defs"].values())


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_is_consistent(name):
    suite = load_suite(name).suite
    assert suite.id == name
    assert set(suite.expected) <= set(suite.splits)
    for split, expected in suite.expected.items():
        assert expected.n == suite.splits[split]
        if -1 not in expected.groups:
            assert expected.n == sum(expected.groups)
        assert len(expected.groups) == len(suite.groups.names)
    assert suite.origin is (suite.generation or suite.source)


def test_explaining_nothing_is_possible(changed):
    suite = load_suite(str(changed("images = 160", "images = 0"))).suite
    assert suite.protocol["standard"].explain.images == 0


def test_the_group_of_an_image_has_a_name():
    suite = load_suite("waterdigits").suite
    found = [suite.group_of(y, {"place": a}) for y in suite.labels for a in ("land", "water")]
    assert found == suite.groups.names
