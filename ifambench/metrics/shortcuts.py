"""What happens when shortcuts disagree with the label: the gaps of UrbanCars.

A shortcut is an attribute with one value per label, value i going with label i in training. For a
non-empty set S of the shortcuts, the subgroup S holds the groups in which exactly the shortcuts of
S disagree with the label, and (Li et al. 2023, Whac-A-Mole, https://arxiv.org/abs/2212.04825)

    shortcut_accuracy(S) = mean of the accuracies of the groups in S
    shortcut_gap(S) = shortcut_accuracy(S) - adjusted_accuracy,

where `adjusted_accuracy`, the groups weighted by their training shares, is the "I.D. Acc" of that
paper. Negative is worse. The row of S has the group `bg+coobj`. A gap shrinks by itself when the
I.D. accuracy falls, which is why the accuracies of the subgroups stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pandas as pd

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.group_accuracy import group_counts
from ifambench.metrics.rows import make_row, select_images
from ifambench.metrics.uncertainty import mover_weighted_sum

METRICS: dict[str, dict[str, Any]] = {
    "shortcut_gap": {
        "build": "shortcut_rows",
        "summary": "Accuracy where just these shortcuts disagree with the label, minus adjusted",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
        "params": {"shortcuts": "shortcuts"},
    },
    "shortcut_accuracy": {
        "build": "shortcut_rows",
        "summary": "Accuracy where just these shortcuts disagree with the label (by shortcut_gap)",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
}


def shortcut_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows for every non-empty set of the shortcuts, when the protocol asks for the gaps."""
    if "shortcut_gap" not in context.metrics:
        return []
    names = list(context.metrics["shortcut_gap"]["shortcuts"])
    images = select_images(tables.predictions, context)
    cells = _cell_of_groups(images, names, context)
    right, ns = group_counts(images, context.groups)
    return [row for cell in _subsets(names) for row in _rows(cell, cells, right, ns, context)]


def _subsets(names: list[str]) -> Iterator[str]:
    for size in range(1, len(names) + 1):
        yield from ("+".join(chosen) for chosen in combinations(names, size))


def _cell_of_groups(
    images: pd.DataFrame, names: list[str], context: ScoreContext
) -> dict[str, str | None]:
    """The shortcuts that disagree in each group, None where its images differ in that."""
    against = pd.Series("", index=images.index)
    for name in names:
        values = context.attributes[name]
        own = images["y"].map(dict(enumerate(values)))
        disagrees = images[f"a_{name}"].astype(str) != own
        against += disagrees.map({True: f"+{name}", False: ""})
    found = against.str.removeprefix("+").groupby(images["group"]).agg(["first", "nunique"])
    return {
        str(group): str(cell) if kinds == 1 else None
        for group, cell, kinds in found.itertuples(name=None)
    }


def _rows(
    cell: str,
    cells: dict[str, str | None],
    right: list[int],
    ns: list[int],
    context: ScoreContext,
) -> list[MetricRow]:
    inside = [cells.get(group) == cell for group in context.groups]
    reason = _undefined(inside, cells, ns, context)
    if not any(inside) or reason == _MIXED:
        why = reason or "no group has just these shortcuts against the label"
        return [make_row(METRICS, name, None, 0, group=cell, reason=why) for name in METRICS]
    mean = [found / sum(inside) for found in inside]
    rows = [_weighted("shortcut_accuracy", cell, mean, right, ns)]
    if reason is not None or context.train_shares is None:
        return [make_row(METRICS, "shortcut_gap", None, 0, group=cell, reason=reason), *rows]
    total = sum(context.train_shares)
    weights = [m - w / total for m, w in zip(mean, context.train_shares, strict=True)]
    return [_weighted("shortcut_gap", cell, weights, right, ns), *rows]


_MIXED = "the groups do not tell which shortcuts disagree with the label"


def _undefined(
    inside: list[bool], cells: dict[str, str | None], ns: list[int], context: ScoreContext
) -> str | None:
    if None in cells.values() or 0 in ns:
        return _MIXED
    return None if context.train_shares and sum(context.train_shares) else "no training shares"


def _weighted(
    metric: str, cell: str, weights: list[float], right: list[int], ns: list[int]
) -> MetricRow:
    low, high = mover_weighted_sum(weights, right, ns)
    value = sum(w * c / n for w, c, n in zip(weights, right, ns, strict=True))
    n = sum(n for w, n in zip(weights, ns, strict=True) if w)
    limits = {"ci_low": low, "ci_high": high, "ci_method": "mover_wilson"}
    return make_row(METRICS, metric, value, n, group=cell, **limits)
