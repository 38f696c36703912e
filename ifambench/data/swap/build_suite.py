"""The suite file of a suite that is built: what `run` and `validate` need, and how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ifambench.data.swap.write import checked
from ifambench.data.variant_parts import Made
from ifambench.suites.spec import ORIGINAL, Protocol, Suite, protocol_of

_PRIMARY = "worst_group_accuracy"


def built_suite(
    suite: Suite, folder: str, rows: pd.DataFrame, split: str, made: Sequence[Made], table: str
) -> Mapping[str, Any]:
    """The content of the suite file, checked.

    Args:
        suite: What was built from.
        folder: Name of the new folder.
        rows: Manifest rows of the originals.
        split: Whose images have variants.
        made: The variants.
        table: The pairing table.
    """
    name, protocol = protocol_of(suite, None)
    trained = protocol.train_split in set(rows["split"])
    return checked(
        {
            "schema": 1,
            "id": f"{suite.id}-swap",
            "version": "1.0.0",
            "title": f"{suite.title}, background swaps",
            "summary": f"Objects of {suite.id} on other backgrounds. {suite.summary}",
            "kind": "bg_swap",
            "licence": suite.licence,
            "citation": suite.citation,
            "image_size": suite.image_size,
            "default_protocol": name,
            "labels": suite.labels,
            "known_issues": [_origin(suite, split, table), *suite.known_issues],
            "attributes": {key: item.model_dump() for key, item in suite.attributes.items()},
            "groups": suite.groups.model_dump(),
            **tables(suite, folder, rows),
            "variant": [_variant(item, rows, split) for item in made],
            "protocol": {
                name: _protocol(
                    protocol, split, made, trained=trained, n=int((rows["split"] == split).sum())
                )
            },
            "recipe": suite.recipe if trained else {},
        }
    )


def tables(suite: Suite, folder: str, rows: pd.DataFrame) -> dict[str, Any]:
    """`[source]`, `[splits]` and `[expected]` of images that lie as `write.py` puts them.

    Args:
        suite: Gives labels, attributes and groups.
        folder: Name of the new folder.
        rows: All images.
    """
    splits = [name for name in suite.splits if name in set(rows["split"])]
    parts = {name: rows[rows["split"] == name] for name in splits}
    return {
        "source": {
            "reader": "metadata_csv",
            "folders": [folder],
            "images": "images",
            "masks": "masks",
            "columns": {"id": "id", "path": "file"},
            "label": _coding("label", suite.labels),
            "split": _coding("split", splits),
            "attributes": {
                name: _coding(name, item.values) for name, item in suite.attributes.items()
            },
        },
        "splits": {name: len(part) for name, part in parts.items()},
        "expected": {
            name: {"n": len(part), "groups": _counts(suite, part)} for name, part in parts.items()
        },
    }


def _coding(column: str, names: Sequence[str]) -> dict[str, Any]:
    return {"column": column, "values": {name: name for name in names}}


def _counts(suite: Suite, rows: pd.DataFrame) -> list[int]:
    counts = rows["group"].value_counts()
    return [int(counts.get(name, 0)) for name in suite.groups.names]


def _variant(made: Made, rows: pd.DataFrame, split: str) -> dict[str, Any]:
    return {
        "id": made.name,
        "kind": "files",
        "splits": [split],
        "images": f"variants/{made.name}",
        "subset": len(made.rows) < int((rows["split"] == split).sum()),
    }


def _protocol(
    protocol: Protocol, split: str, made: Sequence[Made], *, trained: bool, n: int
) -> dict[str, Any]:
    """The default protocol of the suite; without training images only given weights can run."""
    explain = protocol.explain.model_dump()
    return protocol.model_dump() | {
        "eval_split": split,
        "explain": explain | {"images": min(explain["images"], n)},
        "selection": protocol.selection if trained else "none",
        "primary": _PRIMARY if protocol.primary in protocol.metrics else protocol.primary,
        "metrics": {},
        "variants": [ORIGINAL, *(item.name for item in made)],
        "label_scope": "all",
    }


def _origin(suite: Suite, split: str, table: str) -> str:
    digest = hashlib.sha256(table.encode()).hexdigest()
    return (
        f"Built from {suite.id} {suite.version}: variants of its split {split}, backgrounds as in "
        f"pairing.csv (sha256 {digest}), all images at {suite.image_size} pixels."
    )
