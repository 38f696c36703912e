"""The table that maps the 1,000 classes of ImageNet to the labels of a suite."""

import json
from types import SimpleNamespace

import pytest

from ifambench import plan
from ifambench.data.imagenet_map import with_imagenet_map
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.label_map import label_map
from ifambench.suites.catalog import load_suite
from tests.suites.miniatures import in9


@pytest.fixture
def folder(tmp_path):
    return in9.write(tmp_path)


def changed(folder, **classes):
    """Overwrite some classes of the table; None takes a class out."""
    path = folder / "in_to_in9.json"
    table = json.loads(path.read_text(encoding="utf-8")) | {k[1:]: v for k, v in classes.items()}
    kept = {k: v for k, v in table.items() if v is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def test_classes_of_no_label_are_one_more_that_is_never_right(folder, tmp_path):
    suite = with_imagenet_map(load_suite("in9").suite, tmp_path)
    rest = [k for k in range(1000) if in9.label_of(k) == -1]
    assert label_map(suite, "all").members[9] == tuple(rest)
    assert len(label_map(suite, "members").members) == 9


def test_other_suites_stay_as_they_are(tmp_path):
    suite = load_suite("rival10").suite
    assert with_imagenet_map(suite, tmp_path) is suite


def test_a_missing_table_is_an_error_only_where_it_is_needed(folder, tmp_path):
    (folder / "in_to_in9.json").unlink()
    suite = load_suite("in9").suite
    assert with_imagenet_map(suite, tmp_path, required=False) is suite
    with pytest.raises(EnvironmentProblem) as caught:
        with_imagenet_map(suite, tmp_path)
    assert caught.value.where.endswith("in_to_in9.json")
    assert "data fetch in9" in caught.value.next_step


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        ({"_999": None}, "classes 0 to 999"),
        ({"_1000": 3}, "classes 0 to 999"),
        ({"_7": 9}, "class 7 has the label 9"),
        ({"_7": -2}, "class 7 has the label -2"),
        ({"_7": "dog"}, "class 7 has the label 'dog'"),
        ({"_7": True}, "class 7 has the label True"),
        ({f"_{k}": -1 for k in range(1000) if in9.label_of(k) == 8}, 'label "fish"'),
    ],
)
def test_a_table_that_is_none_is_refused(classes, problem, folder, tmp_path):
    changed(folder, **classes)
    with pytest.raises(EnvironmentProblem) as caught:
        with_imagenet_map(load_suite("in9").suite, tmp_path)
    assert problem in caught.value.what


@pytest.mark.parametrize("content", ["{", "[1, 2]", ""])
def test_a_damaged_table_is_refused(content, folder, tmp_path):
    (folder / "in_to_in9.json").write_text(content, encoding="utf-8")
    with pytest.raises(EnvironmentProblem):
        with_imagenet_map(load_suite("in9").suite, tmp_path)


def test_a_plan_reads_the_table_for_given_weights_only(folder, tmp_path):
    file, request = load_suite("in9"), SimpleNamespace(data_dir=tmp_path)
    assert plan._with_map(file, SimpleNamespace(source=None), request) is file
    mapped = plan._with_map(file, SimpleNamespace(source="timm:any"), request)
    assert len(mapped.suite.imagenet) == 9
    assert mapped.digest == file.digest
    (folder / "in_to_in9.json").unlink()
    assert not plan._with_map(file, SimpleNamespace(source="nine.pth"), request).suite.imagenet


def test_a_suite_has_one_map(tmp_path):
    text = load_suite("rival10").path.read_text(encoding="utf-8")
    both = tmp_path / "both.toml"
    both.write_text(text.replace("labels =", 'imagenet_file = "map.json"\nlabels =', 1), "utf-8")
    with pytest.raises(UsageError) as caught:
        load_suite(str(both))
    assert "imagenet_file" in str(caught.value)
