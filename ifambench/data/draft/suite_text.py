"""A draft becomes the text of a suite file: counts, groups, minority, fingerprints, comments."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ifambench.data.draft.parts import Asked, Draft, suite_name
from ifambench.data.files import rows_fingerprint
from ifambench.data.readers import read_rows
from ifambench.errors import UsageError
from ifambench.suites.findings import findings
from ifambench.suites.spec import Suite
from ifambench.suites.toml_text import toml_text

_MOST_CELLS = 2000
_IMAGE_SIZE = 224
_STEPS = 14

_COMMENTS = {
    "summary": "One sentence: what is seen, and what is spuriously correlated with the label.",
    "licence": "Terms of the images; shown with the suite and in records.",
    "image_size": "Height and width that images are brought to, unless the model says otherwise.",
    "labels": "Class names in the order of their indices.",
    "attributes": "What may be spuriously correlated with the label.",
    "groups": "One group per label and attributes, the last one fastest. Minority: groups whose\n"
    "attribute is not the most frequent one of their label in training.",
    "source": "Where the images lie: the first of `folders` below --data-dir or IFAMBENCH_DATA.",
    "source.columns": "Columns of the table that are taken as they are.",
    "source.label": "Value in the table -> declared name. Change names on the right and above.",
    "source.fingerprint": "sha256 of ids, file names, labels, groups and attributes. After a\n"
    "change of names put any text here: `ifambench validate` prints the new one.",
    "source.holdout": "Splits that the data do not have, drawn from a seed.",
    "splits": "Images per split.",
    "expected.train": "Counts that must be found, by group in the order of groups.names.",
    "protocol.standard": "How models are trained, selected and evaluated.",
    "protocol.standard.explain": "How many images explanations are measured on; 0 for none.",
}
_RECIPES = """
# Training recipes, for a family of models or one model: [recipe.vit], [recipe.ifam],
# [recipe."vit+groupdro"], [recipe.vit-ti]. `ifambench show SUITE` lists those of a suite; the
# fields are described in ifambench/train/recipes.py. For instance:
#
# [recipe.vit]
# init = "pretrained"
# epochs = 5
# batch_size = 32
# lr = 1e-4
"""
_SWAPS = """
# With masks, backgrounds can be swapped (see docs/suites.md); then add the id to `variants` of the
# protocol. For instance:
#
# [[variant]]
# id = "mixed_rand"
# kind = "background_swap"
# swap = "mixed_rand"
"""


def suite_text(draft: Draft, asked: Asked) -> str:
    """The suite file of a draft, valid and equal to the data.

    Raises:
        UsageError: If there are too many groups, or a name cannot stand in a suite file.
        EnvironmentProblem: If the images are not as the draft says.
    """
    content = _content(draft, asked)
    rows = read_rows(_checked(content), draft.folder)
    content["groups"]["minority"] = _minority(draft, content["groups"]["names"], rows)
    content["source"]["fingerprint"] = {}
    for split in draft.splits:
        part = rows[rows["split"] == split].reset_index(drop=True)
        counts = part["group"].value_counts()
        groups = [int(counts.get(name, 0)) for name in content["groups"]["names"]]
        content["splits"][split] = len(part)
        content["expected"][split] = {"n": len(part), "groups": groups}
        content["source"]["fingerprint"][split] = rows_fingerprint(part)
    _checked(content)
    text = toml_text(content, _COMMENTS) + _RECIPES
    text += _SWAPS if "masks" in draft.source else ""
    tomllib.loads(text)  # what is written can be read
    return text


def _content(draft: Draft, asked: Asked) -> dict[str, Any]:
    name = asked.name or suite_name(draft.folder.name)
    spurious = f"; spurious: {', '.join(draft.attributes)}" if draft.attributes else ""
    few = draft.labels if len(draft.labels) <= 4 else [f"{len(draft.labels)} classes"]
    return {
        "schema": 1,
        "id": name,
        "version": "1.0.0",
        "title": draft.folder.name,
        "summary": f"{', '.join(few)}{spurious}.",
        "kind": "group_shift",
        "licence": "not stated",
        "image_size": _IMAGE_SIZE,
        "labels": draft.labels,
        "attributes": {key: {"values": values} for key, values in draft.attributes.items()},
        "groups": {"by": ["y", *draft.attributes], "names": _group_names(draft)},
        "source": draft.source,
        "splits": dict.fromkeys(draft.splits, 0),
        "expected": {},
        "protocol": {"standard": _protocol(draft)},
    }


def _protocol(draft: Draft) -> dict[str, Any]:
    selection = "best_val_accuracy" if "val" in draft.splits else "last"
    return {
        "selection": selection if "train" in draft.splits else "none",
        "primary": "worst_group_accuracy",
        "variants": ["original"],
        "explain": {"images": 0, "steps": _STEPS},
    }


def _group_names(draft: Draft) -> list[str]:
    """A name per cell; numbers get the name of what they are numbers of."""
    values = {"y": draft.labels, **draft.attributes}
    cells = prod(len(item) for item in values.values())
    if cells > _MOST_CELLS:
        raise UsageError(
            f"labels and attributes make {cells:,} groups, more than {_MOST_CELLS:,}",
            where="--attribute",
            next_step="name fewer attributes",
        )
    words = [[_word(name, value) for value in item] for name, item in values.items()]
    names = ["_".join(cell) for cell in product(*words)]
    return names if len(set(names)) == cells else [f"group_{k}" for k in range(cells)]


def _word(name: str, value: str) -> str:
    return f"{name}{value}" if value.lstrip("-").isdecimal() else value


def _minority(draft: Draft, names: Sequence[str], rows: pd.DataFrame) -> list[str]:
    """Groups in which an attribute is not the one most frequent with the label in training."""
    train = rows[rows["split"] == "train"]
    found: set[str] = set()
    for name in draft.attributes:
        counts = train.groupby(["y", f"a_{name}"]).size()
        for y in train["y"].unique():
            of_label = counts[y].sort_values(ascending=False)
            if len(of_label) > 1 and of_label.iloc[0] == of_label.iloc[1]:
                continue  # no value is the most frequent
            odd = rows[(rows["y"] == y) & (rows[f"a_{name}"] != of_label.index[0])]
            found |= set(odd["group"])
    return [name for name in names if name in found]


def _checked(content: dict[str, Any]) -> Suite:
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise UsageError(
            "these data do not make a valid suite",
            where="; ".join(findings("suite.toml", error)[:3]),
            next_step="give other options (ifambench suite init --help)",
        ) from error
