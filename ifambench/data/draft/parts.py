"""What all drafts of suite files share: what is asked for, what was decided, names, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ifambench.data.readers.patterns import IMAGE_SUFFIXES
from ifambench.errors import UsageError

MAX_LABELS = 1000
SPLITS = {
    "train": ("train", "training", "tr", "0"),
    "val": ("val", "valid", "validation", "dev", "va", "1"),
    "test": ("test", "testing", "te", "2"),
}
"""Split -> how it is usually called; numbers as in WILDS."""
_TAKEN = ("y", "split", "name")
"""Names that mean something else in path patterns."""
HOLDOUT = {"test": 0.2, "val": 0.1}
"""Share that is drawn of what is there, for splits that the data do not have."""


@dataclass(frozen=True)
class Asked:
    """What the user has said; None or empty where it is to be guessed.

    Attributes:
        name: Id of the suite.
        label: Column of the label.
        attributes: Columns of attributes; of a folder, their names from the outside in.
        split: Column of the split.
        image: Column of the image file.
        id: Column of the id.
        images: Folder below which the image files lie.
        masks: Folder of the masks.
    """

    name: str | None = None
    label: str | None = None
    attributes: Sequence[str] = ()
    split: str | None = None
    image: str | None = None
    id: str | None = None
    images: str | None = None
    masks: str | None = None


@dataclass
class Draft:
    """A suite file in the making.

    Attributes:
        folder: Folder of the data.
        labels: Declared labels.
        attributes: Attribute -> declared values.
        source: The section `[source]`.
        splits: Splits of the suite, drawn ones too.
        decisions: What was decided, one line each.
    """

    folder: Path
    labels: list[str] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    splits: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)


def is_image(path: str) -> bool:
    """Whether a file name ends as those of images do."""
    return path.lower().rpartition(".")[2] in IMAGE_SUFFIXES and "." in path


def split_names(values: Iterable[str]) -> dict[str, str] | None:
    """Value -> split, if all values are usual names of splits and name each once; else None.

    >>> split_names(["training", "valid"]), split_names(["0", "5"])
    ({'training': 'train', 'valid': 'val'}, None)
    """
    found: dict[str, str] = {}
    for value in values:
        meant = [name for name, usual in SPLITS.items() if value.strip().lower() in usual]
        if not meant or meant[0] in found.values():
            return None
        found[value] = meant[0]
    return found or None


def settle_splits(draft: Draft, coded: dict[str, str]) -> dict[str, str]:
    """The splits of the suite, and rules for those that the data lack.

    Without test images those of the validation become the test: people evaluate on them.

    Args:
        draft: Gets `splits`, `source.holdout` and the decisions.
        coded: Value in the data -> split.

    Returns:
        Value in the data -> split of the suite.
    """
    if "test" not in coded.values() and "val" in coded.values():
        coded = {value: "test" if name == "val" else name for value, name in coded.items()}
        draft.decisions.append("split: there is no test split, so the validation images are it")
    there = set(coded.values())
    lacking = [name for name in HOLDOUT if name not in there] if "train" in there else []
    for name in lacking:
        share = f"{100 * HOLDOUT[name]:.0f} %"
        draft.decisions.append(f"split: {share} of the training images are drawn as {name}")
    rules = [
        {"split": name, "of": "train", "share": HOLDOUT[name], "by": ["y", *draft.attributes]}
        for name in lacking
    ]
    if rules:
        draft.source["holdout"] = rules
    draft.splits = [name for name in SPLITS if name in there or name in lacking]
    return coded


def check_labels(labels: Sequence[str], where: str, next_step: str) -> None:
    """Raise a UsageError unless there are between 2 and `MAX_LABELS` labels."""
    if "" in labels:
        raise UsageError("there are images without a label", where=where)
    if not 2 <= len(labels) <= MAX_LABELS:
        found = f"only one label, {labels[0]}" if len(labels) == 1 else f"{len(labels):,} labels"
        raise UsageError(
            f"{found}: a suite has between 2 and {MAX_LABELS:,}", where=where, next_step=next_step
        )


def attribute_name(text: str) -> str:
    """A name that an attribute can have.

    >>> attribute_name("Back Ground"), attribute_name("5 o'clock")
    ('back_ground', 'a_5_o_clock')
    """
    name = re.sub(r"\W+", "_", text.lower(), flags=re.ASCII).strip("_") or "attribute"
    return name if name[0].isalpha() and name not in _TAKEN else f"a_{name}"


def suite_name(text: str) -> str:
    """A name that a suite can have.

    >>> suite_name("My Birds (v2)")
    'my-birds-v2'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "mine"


def by_value(values: Iterable[str]) -> list[str]:
    """Different values, sorted, numbers by value."""
    found = set(values)
    if all(re.fullmatch(r"-?\d+", value) for value in found):
        return sorted(found, key=int)
    return sorted(found)
