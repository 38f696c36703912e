"""Every rule of the schema, on the smallest suite that breaks it."""

from __future__ import annotations

import copy
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ifambench.suites.checks import imagenet_members
from ifambench.suites.findings import findings
from ifambench.suites.labels import label_set, label_sets
from ifambench.suites.parts import is_inside
from ifambench.suites.spec import Suite

EXPLAIN = {"images": 0, "steps": 4}
SUITE = {
    "schema": 1,
    "id": "mini",
    "version": "1.0.0",
    "title": "Mini",
    "summary": "two classes on two grounds",
    "kind": "group_shift",
    "licence": "CC0",
    "image_size": 32,
    "labels": ["cat", "dog"],
    "attributes": {"ground": {"values": ["grass", "sand"]}},
    "groups": {"by": ["y", "ground"]},
    "source": {
        "reader": "image_folder",
        "folders": ["mini"],
        "masks": "masks",
        "patterns": [{"path": "{split}/{y}/{ground}/{name}"}],
    },
    "splits": {"train": 0, "val": 0, "test": 0},
    "protocol": {
        "standard": {"selection": "last", "variants": ["original"], "explain": EXPLAIN},
    },
}
HDF5 = {"reader": "hdf5", "folders": ["mini"], "fields": {"ground": "g"}}
TABLE = {
    "reader": "metadata_csv",
    "folders": ["mini"],
    "columns": {"id": "id", "path": "file"},
    "label": {"column": "y", "values": {"0": "cat", "1": "dog"}},
    "attributes": {"ground": {"column": "g", "values": {"0": "grass", "1": "sand"}}},
    "tables": {"train": "a.csv", "val": "b.csv", "test": "c.csv"},
}
SWAP = {"id": "rand", "kind": "background_swap", "swap": "mixed_rand"}


_NO_VAL = {"train": 1, "test": 1}


def changed(changes: dict[str, object]) -> dict:
    """The suite with values at dotted keys replaced; None takes a key away."""
    content = copy.deepcopy(SUITE)
    for key, value in changes.items():
        *above, last = key.split(".")
        place = content
        for name in above:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return content


def found(changes: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        Suite.model_validate(changed(changes))
    return "\n".join(findings("suite.toml", caught.value))


def test_the_smallest_suite_is_valid():
    suite = Suite.model_validate(SUITE)
    assert suite.groups.names == ["cat_grass", "cat_sand", "dog_grass", "dog_sand"]
    assert suite.variants_in("test") == ["original"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": ["cat", "cat"]}, "labels: 'cat' is there twice"),
        ({"labels": ["cat"]}, "suite.toml:labels: "),
        ({"labels": "cub-300"}, "no list of labels is called 'cub-300'"),
        ({"attributes.ground.values": ["sand", "sand"]}, "attributes.ground.values: 'sand'"),
        ({"attributes.ground.values": []}, "suite.toml:attributes.ground.values: "),
        ({"attributes.y": {"values": ["a"]}}, "[attributes.y]: y is the label"),
        ({"attributes.a-b": {"values": ["a"]}}, "suite.toml:attributes.a-b: "),
        ({"groups.by": ["y", "y"]}, "groups.by names something twice"),
        ({"groups.names": ["a", "b", "c", "c"]}, "groups.names has a name twice"),
        ({"splits": {"train": 3}}, "splits.test is missing"),
        ({"splits.dev": 3}, "suite.toml:splits.dev: "),
        ({"splits.test": -1}, "suite.toml:splits.test: "),
        ({"expected.test": {"n": 3, "groups": [3]}}, "expected.test.groups must have 4 counts"),
        ({"expected.test": {"n": 3, "groups": [4, 0, 0, -2]}}, "suite.toml:expected.test.groups.3"),
        ({"source": None}, "exactly one of [generation] and [source]"),
        ({"source": 3}, "suite.toml:source"),
        ({"source.reader": None}, "suite.toml:source.reader: is missing"),
        ({"source.reader": "image_foldr"}, "did you mean image_folder?); valid: metadata_csv, "),
        ({"source.reader": "plugin:"}, "suite.toml:source.reader: "),
        ({"source.images": "a\u0000b"}, "suite.toml:source.images: must not hold control"),
        ({"source.mask_values": [1]}, "mask_values belong to mask_format 'values'"),
        ({"source.patterns": []}, "suite.toml:source.patterns: "),
        ({"source.patterns.0.path": "{y}/{name}"}, "tells ['split', 'ground']"),
        ({"source.patterns.0.set": {"ground": "rock"}}, "names nothing declared: ['rock']"),
        ({"source.patterns.0.set": {"colour": "red"}}, "neither y, split nor an attribute"),
        ({"source.patterns": [{"path": "{y}/{ground}/{name}", "split": "test"}]}, "split 'train'"),
        ({"source.codings": {"y": {"c": "cow"}}}, "source.codings.y names nothing declared"),
        ({"source.holdout": [{"split": "val", "of": "val", "share": 0.1}]}, "must differ"),
        ({"source.holdout": [{"split": "val", "of": "train"}]}, "one of share and per_cell"),
        (
            {"source.holdout": [{"split": "val", "of": "train", "share": 0.1, "by": ["x"]}]},
            "source.holdout.by names no attribute: 'x'",
        ),
        (
            {"source.holdout": [{"split": "val", "of": "train", "per_cell": n} for n in (1, 2)]},
            "source.holdout draws a split twice",
        ),
        (
            {
                "splits": {"test": 0},
                "source.holdout": [{"split": "test", "of": "val", "share": 0.5}],
            },
            "source.holdout: test or val is not in [splits]",
        ),
        ({"variant": [{"id": "original", "images": "x"}]}, "[[variant]]: 'original' is there"),
        ({"variant": [{"id": "far"}]}, "exactly one of images and path"),
        (
            {"variant": [{"id": "far", "images": "x", "splits": ["val"]}], "splits": {"test": 1}},
            "val",
        ),
        ({"variant": [{"id": "far", "kind": "fils"}]}, "suite.toml:variant.0.kind: 'fils' is not"),
        ({"variant": [SWAP | {"fill": "red"}]}, "suite.toml:variant.0.fill: "),
        ({"variant": [SWAP | {"pool": "hills"}]}, "a pool belongs to fill = 'external'"),
        ({"variant": [SWAP | {"fill": "external"}]}, "a pool belongs to fill = 'external'"),
        ({"variant": [SWAP | {"fill": "external", "pool": "x"}]}, "no [[pool]] is called 'x'"),
        ({"variant": [SWAP | {"pair_by": "attribute:x"}]}, "pair_by must be"),
        ({"variant": [SWAP], "source.masks": None}, "it is made with masks"),
        ({"pool": [{"name": "a", "folders": ["x"]}] * 2}, "[[pool]]: 'a' is there twice"),
        ({"pool": [{"name": "a", "folders": ["/x"]}]}, "suite.toml:pool.0.folders.0: must be"),
        ({"download": [{"name": "a"}]}, "urls are missing"),
        ({"download": [{"name": "a", "urls": ["ftp://x/y"]}]}, "suite.toml:download.0.urls.0"),
        ({"download": [{"name": "a", "urls": ["https://x"], "md5": "1"}]}, "download.0.md5"),
        ({"download": [{"name": "a", "kind": "manual"}]}, "a manual download has instructions"),
        ({"protocol.standard.variants": ["mixed_rand"]}, "variants must contain 'original'"),
        ({"protocol.standard.variants": ["original", "x"]}, "names no variant of test: ['x']"),
        ({"protocol.standard.selection": "none"}, "must be 'none' when there is no training"),
        ({"protocol.standard.eval_split": "val", "protocol.standard.select_split": "val"}, "eval"),
        ({"splits": _NO_VAL, "protocol.standard.eval_split": "val"}, "eval_split"),
        (
            {
                "splits": _NO_VAL,
                "protocol.standard.train_split": "val",
                "protocol.standard.select_split": "train",
            },
            "protocol.standard.train_split is not in [splits]",
        ),
        (
            {"splits": _NO_VAL, "protocol.standard.selection": "best_val_accuracy"},
            "protocol.standard.select_split is not in [splits]",
        ),
        ({"protocol.standard.select_split": "train"}, "must not be the training split"),
        ({"default_protocol": "fast"}, "default_protocol 'fast'"),
        ({"imagenet": {"cat": ["281-285"]}}, "[imagenet] must map every label, differs in ['dog']"),
        ({"imagenet": {"cat": ["3"], "dog": ["1-4"]}}, "an index is there twice"),
        ({"imagenet": {"cat": ["3"], "dog": ["999-1000"]}}, "not between 0 and 999"),
        ({"imagenet": {"cat": ["3"], "dog": ["9-7"]}}, "[imagenet]: dog has no index"),
        ({"imagenet": {"cat": ["3"], "dog": ["n02"]}}, "neither an index nor a range"),
        ({"colour": 1}, "suite.toml:colour: unknown key"),
        ({"title": None}, "suite.toml:title: is missing"),
    ],
)
def test_what_breaks_a_rule_is_named(changes, text):
    assert text in found(changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"files": {}}, "suite.toml:source.files: "),
        ({"files": {"a.h5": {"split": "dev"}}}, "source.files.a.h5.split names nothing declared"),
        ({"files": {"a.h5": {"split": "test"}}, "fields": {}}, "does not tell ['ground']"),
    ],
)
def test_hdf5_files_tell_what_is_declared(changes, text):
    assert text in found({"source": HDF5 | changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tables": {"test": "c.csv"}}, "source.tables must be for ['train', 'val', 'test']"),
        ({"tables": {}}, "exactly one of [source.split] and [source.tables]"),
        ({"label": {"column": "y", "values": {"0": "cat"}}}, "source.label.values lacks ['dog']"),
        ({"attributes": {}}, "source.attributes must code ['ground'], has []"),
    ],
)
def test_tables_tell_what_is_declared(changes, text):
    assert Suite.model_validate(changed({"source": TABLE})).source.marker == "a.csv"
    assert text in found({"source": TABLE | changes})


def test_leaks_are_between_declared_splits():
    only_test = {"tables": {"test": "c.csv"}, "leaked": {"train": "test"}}
    changes = {"source": TABLE | only_test, "splits": {"test": 1}}
    assert "source.leaked names no split: ['train']" in found(changes)


def test_a_drawn_split_needs_no_table_and_no_pattern():
    rule = [{"split": "val", "of": "train", "share": 0.1}]
    table = TABLE | {"tables": {"train": "a.csv", "test": "c.csv"}, "holdout": rule}
    assert Suite.model_validate(changed({"source": table})).source.drawn_splits == {"val"}
    patterns = [
        {"path": f"{name}/{{y}}/{{ground}}/{{name}}", "split": name} for name in ("train", "test")
    ]
    Suite.model_validate(changed({"source.patterns": patterns, "source.holdout": rule}))


def test_a_variant_is_one_of_files_unless_it_says_otherwise():
    suite = Suite.model_validate(changed({"variant": [{"id": "far", "images": "x"}, SWAP]}))
    assert [item.kind for item in suite.variant] == ["files", "background_swap"]
    assert suite.variants_in("test") == ["original", "far", "rand"]
    assert suite.variants_in("val") == ["original"]


def test_without_training_images_nothing_is_selected():
    changes = {"splits": {"test": 5}, "protocol.standard.selection": "none"}
    suite = Suite.model_validate(changed(changes))
    assert not suite.has_training


def test_groups_without_images_are_not_held():
    suite = Suite.model_validate(changed({"expected.test": {"n": 3, "groups": [1, 0, 2, 0]}}))
    assert suite.groups_in("test") == ("cat_grass", "dog_grass")
    assert suite.groups_in("train") == tuple(suite.groups.names)


names = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=4, unique=True)


@settings(max_examples=40, deadline=None)
@given(labels=names, first=names, second=names, by=st.permutations(["y", "one", "two"]))
def test_every_cell_has_its_own_group_with_the_last_one_fastest(labels, first, second, by):
    kinds = {"y": labels, "one": first, "two": second}
    attributes = {name: {"values": kinds[name]} for name in ("one", "two")}
    patterns = [{"path": "{split}/{y}/{one}/{two}/{name}"}]
    content = {"labels": labels, "attributes": attributes, "groups": {"by": list(by)}}
    suite = Suite.model_validate(changed(content | {"source.patterns": patterns}))
    cells = product(*(kinds[name] for name in by))
    values = [dict(zip(by, cell, strict=True)) for cell in cells]
    assert [suite.group_of(item["y"], item) for item in values] == suite.groups.names


def test_no_groups_make_one():
    suite = Suite.model_validate(changed({"groups.by": []}))
    assert suite.groups.names == ["all"]
    assert suite.group_of("dog", {"ground": "sand"}) == "all"


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 999), min_size=2, max_size=40))
def test_ranges_and_single_indices_are_the_same(indices):
    """Whatever the form, the indices of all labels are those given."""
    ordered = sorted(indices)
    runs: list[list[int]] = []
    for index in ordered:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    cut = len(ordered) // 2
    one_by_one = {"cat": list(map(str, ordered[:cut])), "dog": list(map(str, ordered[cut:]))}
    found = imagenet_members(Suite.model_validate(changed({"imagenet": one_by_one})))
    assert found == {"cat": ordered[:cut], "dog": ordered[cut:]}
    if len(runs) > 1:
        ranges = [f"{run[0]}-{run[-1]}" for run in runs]
        split = {"cat": ranges[:1], "dog": ranges[1:]}
        found = imagenet_members(Suite.model_validate(changed({"imagenet": split})))
        assert found["cat"] + found["dog"] == ordered


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "b.jpg", ".", "..", "", "C:", "\\", "~"]), max_size=5))
def test_what_is_inside_stays_inside(parts):
    path = "/".join(parts)
    if is_inside(path):
        root = Path("/data/suite")
        assert (root / path).resolve().is_relative_to(root)


def test_the_lists_of_labels():
    assert label_sets() == ["cub-200", "imagenet-1k"]
    birds, classes = label_set("cub-200"), label_set("imagenet-1k")
    assert [int(name.split(".")[0]) for name in birds] == list(range(1, 201))
    assert (birds[0], birds[20], birds[199]) == (
        "001.Black_footed_Albatross",
        "021.Eastern_Towhee",
        "200.Common_Yellowthroat",
    )
    assert len(set(classes)) == 1000
    assert classes == tuple(sorted(classes))
    assert (classes[0], classes[999]) == ("n01440764", "n15075141")
    assert len(Suite.model_validate(changed({"labels": "cub-200"})).labels) == 200
