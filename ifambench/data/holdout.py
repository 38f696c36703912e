"""Splits that the data do not have, drawn from another split.

Within a cell (label and attributes) the ids are sorted and permuted by a stream of its own, so that
the draw depends on the seed, the ids of the cell and nothing else: neither on how a folder is
listed nor on the other cells.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ifambench.data.draws import Draws
from ifambench.suites.source_base import Holdout


def hold_out(rows: pd.DataFrame, labels: Sequence[str], rules: Iterable[Holdout]) -> pd.DataFrame:
    """Rows with the drawn splits in place, one rule after the other.

    Args:
        rows: Manifest rows with `id`, `split`, `y` and the attributes.
        labels: Class names by index.
        rules: What is drawn.
    """
    for rule in rules:
        rows = rows.assign(split=_split_after(rows, labels, rule))
    return rows


def drawn_ids(cells: Mapping[tuple[str, ...], Sequence[str]], rule: Holdout) -> set[str]:
    """The ids that are taken out of each cell.

    Args:
        cells: Ids by cell, in any order.
        rule: How many, and the seed.
    """
    found: set[str] = set()
    for cell, ids in cells.items():
        ordered = sorted(ids)
        chosen = Draws(rule.seed, *_address(rule.split, *cell)).permutation(len(ordered))
        found.update(ordered[k] for k in chosen[: amount(rule, len(ordered))])
    return found


def amount(rule: Holdout, n: int) -> int:
    """Images taken out of a cell of `n`: the nearest to the share; at least one, at most half.

    >>> rule = Holdout(split="val", of="train", share=0.1)
    >>> [amount(rule, n) for n in (1, 2, 15, 100)]
    [0, 1, 2, 10]
    """
    wanted = rule.per_cell or max(1, math.floor(float(rule.share or 0) * n + 0.5))
    return min(wanted, n // 2)


def _split_after(rows: pd.DataFrame, labels: Sequence[str], rule: Holdout) -> pd.Series:
    pool = rows[rows["split"] == rule.of]
    keys = [_values(pool, labels, name) for name in rule.by]
    cells: dict[tuple[str, ...], list[str]] = {}
    for name, *cell in zip(pool["id"], *keys, strict=True):
        cells.setdefault(tuple(cell), []).append(name)
    taken = rows["id"].isin(drawn_ids(cells, rule)) & (rows["split"] == rule.of)
    return rows["split"].mask(taken, rule.split)


def _values(rows: pd.DataFrame, labels: Sequence[str], name: str) -> list[Any]:
    return [labels[y] for y in rows["y"]] if name == "y" else rows[f"a_{name}"].tolist()


def _address(*names: str) -> tuple[int, ...]:
    """Two integers for a purpose, the same on every machine."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")
