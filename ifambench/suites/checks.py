"""What must hold between the sections of a suite file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ifambench.suites.spec import Groups, Protocol, Suite

IMAGENET_CLASSES = 1000


def check_names(suite: Suite) -> None:
    """Names in the same list differ.

    Raises:
        ValueError: Naming the list and the name.
    """
    if "y" in suite.attributes:
        raise ValueError("[attributes.y]: y is the label")
    lists = {"labels": suite.labels, "[[variant]]": ["original", *(v.id for v in suite.variant)]}
    lists |= {f"attributes.{name}.values": item.values for name, item in suite.attributes.items()}
    lists["[[pool]]"] = [item.name for item in suite.pool]
    lists["[[download]]"] = [item.name for item in suite.download]
    for key, names in lists.items():
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{key}: {twice!r} is there twice")


def named_groups(suite: Suite) -> Groups:
    """The groups with a name for every cell.

    Raises:
        ValueError: If `by` names what is not there, or if names are missing or doubled.
    """
    groups = suite.groups
    _refuse_undeclared("groups.by", suite, groups.by)
    if len(set(groups.by)) != len(groups.by):
        raise ValueError("groups.by names something twice")
    values = [suite.values_of(name) for name in groups.by]
    names = groups.names or ["_".join(cell) or "all" for cell in product(*values)]
    cells = prod(len(item) for item in values)
    if len(names) != cells:
        raise ValueError(f"groups.names must have {cells} names, has {len(names)}")
    if len(set(names)) != len(names):
        raise ValueError("groups.names has a name twice")
    unknown = set(groups.minority) - set(names)
    if unknown:
        raise ValueError(f"groups.minority names no group: {sorted(unknown)}")
    return groups.model_copy(update={"names": names})


def selectable(suite: Suite) -> dict[str, Protocol]:
    """The protocols; `select_split` is None where the suite has no such images.

    Raises:
        ValueError: If a protocol selects an epoch on a split that is not there, or on the images
            it trains on.
    """
    found = {}
    for name, protocol in suite.protocol.items():
        there = protocol.select_split in suite.splits
        if protocol.selection.startswith("best_") and not there:
            raise ValueError(f"protocol.{name}.select_split is not in [splits]")
        if protocol.select_split == protocol.train_split:
            raise ValueError(f"protocol.{name}.select_split must not be the training split")
        found[name] = protocol if there else protocol.model_copy(update={"select_split": None})
    return found


def check_suite(suite: Suite) -> None:
    """Sections refer only to what is declared.

    Raises:
        ValueError: Naming the section and what is wrong in it.
    """
    _check_origin(suite)
    _check_splits(suite)
    _check_drawn(suite)
    _check_variants(suite)
    _check_protocols(suite)
    imagenet_members(suite)
    if suite.imagenet and suite.imagenet_file is not None:
        raise ValueError("[imagenet] and imagenet_file: only one of them can be there")


def _check_origin(suite: Suite) -> None:
    if (suite.generation is None) == (suite.source is None):
        raise ValueError("exactly one of [generation] and [source] must be there")
    if suite.source is not None:
        values = {name: item.values for name, item in suite.attributes.items()}
        suite.source.check_names(suite.labels, values, list(suite.splits))
    elif suite.variant or suite.pool or suite.download:
        raise ValueError("[[variant]], [[pool]] and [[download]] belong to [source]")


def _check_splits(suite: Suite) -> None:
    if "test" not in suite.splits:
        raise ValueError("splits.test is missing")
    if suite.generation is not None and not all(suite.splits.values()):
        raise ValueError("splits: a generated split needs its number of images")
    for split, expected in suite.expected.items():
        if len(expected.groups) != len(suite.groups.names):
            n = len(suite.groups.names)
            raise ValueError(f"expected.{split}.groups must have {n} counts, one per group")


def _check_drawn(suite: Suite) -> None:
    """Splits that are drawn have something to be drawn from, by what is declared."""
    rules = [] if suite.source is None else suite.source.holdout
    for item in rules:
        _refuse_undeclared("source.holdout.by", suite, item.by)
        if item.split not in suite.splits or item.of not in suite.splits:
            raise ValueError(f"source.holdout: {item.split} or {item.of} is not in [splits]")
    drawn = [item.split for item in rules]
    if len(set(drawn)) != len(drawn):
        raise ValueError("source.holdout draws a split twice")


def _refuse_undeclared(key: str, suite: Suite, names: Iterable[str]) -> None:
    for name in names:
        if name != "y" and name not in suite.attributes:
            raise ValueError(f"{key} names no attribute: {name!r}")


def _check_variants(suite: Suite) -> None:
    pools = {item.name for item in suite.pool}
    for item in suite.variant:
        where = f"variant {item.id}"
        absent = [split for split in item.splits if split not in suite.splits]
        if absent:
            raise ValueError(f"{where}: splits names no split: {absent}")
        if item.kind in ("background_swap", "ablation") and not _has_masks(suite):
            raise ValueError(f"{where}: it is made with masks, and [source] tells of none")
        if item.kind != "background_swap":
            continue
        if item.pool is not None and item.pool not in pools:
            raise ValueError(f"{where}: no [[pool]] is called {item.pool!r}")
        kind, _, name = item.pair_by.partition(":")
        if item.pair_by != "y" and (kind != "attribute" or name not in suite.attributes):
            raise ValueError(f"{where}: pair_by must be 'y' or 'attribute:NAME'")


def _has_masks(suite: Suite) -> bool:
    """Whether masks can be there; what a plug-in reads is not known."""
    source = suite.source
    return source is not None and (source.mask_root is not None or ":" in source.reader)


def _check_protocols(suite: Suite) -> None:
    if suite.default_protocol not in suite.protocol:
        raise ValueError(f"default_protocol {suite.default_protocol!r} is not in [protocol]")
    for name, protocol in suite.protocol.items():
        used = ["eval_split", *(["train_split"] if suite.has_training else [])]
        absent = [key for key in used if getattr(protocol, key) not in suite.splits]
        if absent:
            raise ValueError(f"protocol.{name}.{absent[0]} is not in [splits]")
        there = suite.variants_in(protocol.eval_split)
        unknown = [item for item in protocol.variants if item not in there]
        if unknown:
            raise ValueError(
                f"protocol.{name}.variants names no variant of {protocol.eval_split}: {unknown}; "
                f"there are {there}"
            )
        if (protocol.selection == "none") == suite.has_training:
            raise ValueError(
                f"protocol.{name}.selection must be 'none' when there is no training split, "
                "and only then"
            )


def imagenet_members(suite: Suite) -> dict[str, list[int]]:
    """ImageNet-1k class indices of each label, in the order of the labels; empty without a map.

    Raises:
        ValueError: If a label is unknown or missing, or an index is doubled or out of range.
    """
    if not suite.imagenet:
        return {}
    if set(suite.imagenet) != set(suite.labels):
        differing = sorted(set(suite.imagenet) ^ set(suite.labels))
        raise ValueError(f"[imagenet] must map every label, differs in {differing[:3]}")
    found = {label: _indices(suite.imagenet[label]) for label in suite.labels}
    empty = [label for label, members in found.items() if not members]
    if empty:
        raise ValueError(f"[imagenet]: {empty[0]} has no index")
    every = [index for members in found.values() for index in members]
    if len(set(every)) != len(every) or not all(0 <= index < IMAGENET_CLASSES for index in every):
        raise ValueError("[imagenet]: an index is there twice or not between 0 and 999")
    return found


def _indices(ranges: list[str]) -> list[int]:
    found: list[int] = []
    for text in ranges:
        first, _, last = text.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise ValueError(f"[imagenet]: {text!r} is neither an index nor a range such as '3-9'")
        found += range(int(first), int(last or first) + 1)
    return found
