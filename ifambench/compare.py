"""Is one run better than another? Paired statistics on the images that both judged.

`a` is the baseline and `b` the candidate, as in `ifambench compare BASELINE CANDIDATE`; every
difference is b - a. Runs are compared only when they answer the same question: same suite, major
version, data, protocol and split, both complete, over the same images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.comparable import (
    LoadedRun,
    image_differences,
    not_comparable,
    record_differences,
    run_names,
)
from ifambench.compare_seeds import SeedComparison, compare_seeds
from ifambench.errors import UsageError
from ifambench.gates import Drop, Floor, GateResult, check_gates, parse_drop, parse_floor
from ifambench.metrics import paired, paired_classes
from ifambench.metrics.background import RAND, SAME
from ifambench.metrics.base import ScoreContext
from ifambench.metrics.score import METRIC_REGISTRY, context_of
from ifambench.metrics.uncertainty import near_ties
from ifambench.records.schema import RunRecord
from ifambench.verdict import verdict

__all__ = [
    "Comparison",
    "Drop",
    "Floor",
    "GateResult",
    "LoadedRun",
    "SeedComparison",
    "check_gates",
    "compare_runs",
    "compare_seeds",
    "parse_drop",
    "parse_floor",
]


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare_runs`.

    Attributes:
        name_a: The baseline in words.
        name_b: The candidate in words.
        rows: `metric, group, explainer, a, b, delta, ci_low, ci_high, p, p_holm, method, n,
            better`; see `ifambench.metrics.paired`.
        explainers: SRG of every explainer of either run, each on its own images: `explainer,
            paired` (True when `rows` has the paired difference), and value, limits and n of both.
        verdict: One sentence with the numbers.
        warnings: What to keep in mind when reading it.
        forced: True when the runs are not comparable and were compared all the same.
    """

    name_a: str
    name_b: str
    rows: pd.DataFrame
    explainers: pd.DataFrame
    verdict: str
    warnings: list[str]
    forced: bool


@dataclass(frozen=True)
class _Side:
    predictions: pd.DataFrame
    explanations: pd.DataFrame


def compare_runs(a: LoadedRun, b: LoadedRun, *, force: bool = False) -> Comparison:
    """Compare candidate b with baseline a on the images both judged.

    Args:
        a: The baseline.
        b: The candidate.
        force: Compare runs that differ in suite, data, protocol or status, on what is common.

    Raises:
        UsageError: If the runs are not comparable (naming the keys), or have no image in common.
    """
    differing = record_differences(a.record, b.record) | image_differences(a, b)
    if differing and not force:
        raise not_comparable(differing)
    context, sides = _common_part(a, b)
    pairs = paired.pair_images(sides[0].predictions, sides[1].predictions, context)
    if pairs.empty:
        raise UsageError("the runs have no image in common", where=f"{a.folder} and {b.folder}")
    counts = paired.cell_counts(pairs, context.groups)
    rows = paired.accuracy_rows(counts, context) + paired_classes.class_rows(pairs, context)
    rows += paired_classes.auroc_rows(sides[0].predictions, sides[1].predictions, context)
    rows += _gap_rows(sides, context) + _explainer_rows(a, b, sides, context)
    frame = paired.to_frame(rows, _directions())
    names = run_names(a.record, b.record)
    ties = _near_ties(counts, context.groups)
    return Comparison(
        *names,
        rows=frame,
        explainers=_explainer_table(a.record, b.record),
        verdict=verdict(frame, names, ties, a.record.protocol.primary_metric, bool(differing)),
        warnings=_warnings(a.record, b.record, differing, dict(zip(names, ties, strict=True))),
        forced=bool(differing),
    )


def _directions() -> dict[str, bool | None]:
    entries = METRIC_REGISTRY.entries()
    return {name: entry.info["higher_is_better"] for name, entry in entries.items()}


def _common_part(a: LoadedRun, b: LoadedRun) -> tuple[ScoreContext, tuple[_Side, _Side]]:
    """The context and both runs' tables, cut to the groups that both suites declare."""
    context = context_of(a.record)
    groups = tuple(name for name in context.groups if name in b.record.groups)
    same = groups == context.groups and a.record.train_shares == b.record.train_shares
    shares = context.train_shares if same else None
    context = replace(context, groups=groups, train_shares=shares)
    dropped = {*a.record.groups, *b.record.groups} - set(groups)
    return context, (_side(a, context.split, dropped), _side(b, context.split, dropped))


def _side(run: LoadedRun, split: str, dropped: set[str]) -> _Side:
    """The evaluated predictions under one split name, and the explanations."""
    used = run.predictions[run.predictions["split"] == run.record.protocol.eval_split]
    maps = run.explanations
    return _Side(
        predictions=used[~used["group"].isin(dropped)].assign(split=split),
        explanations=maps if maps.empty else maps[~maps["group"].isin(dropped)],
    )


def _gap_rows(sides: tuple[_Side, _Side], context: ScoreContext) -> list[paired.PairedRow]:
    tables = sides[0].predictions, sides[1].predictions
    common = set(tables[0]["variant"]) & set(tables[1]["variant"])
    rows = [paired.mixed_rand_row(*tables, context)] if RAND in common else []
    return [*rows, paired.gap_row(*tables, context)] if {SAME, RAND} <= common else rows


def _explainer_rows(
    a: LoadedRun, b: LoadedRun, sides: tuple[_Side, _Side], context: ScoreContext
) -> list[paired.PairedRow]:
    if a.record.protocol.explain != b.record.protocol.explain:
        return []
    return paired.explainer_rows(sides[0].explanations, sides[1].explanations, context)


def _explainer_table(a: RunRecord, b: RunRecord) -> pd.DataFrame:
    found: dict[str, dict[str, Any]] = {}
    for side, record in (("a", a), ("b", b)):
        for row in record.metrics:
            if row.metric == "srg" and row.group == "all" and row.explainer:
                cells = found.setdefault(row.explainer, {})
                cells |= {side: row.value, f"{side}_ci_low": row.ci_low}
                cells |= {f"{side}_ci_high": row.ci_high, f"{side}_n": row.n}
    same = a.protocol.explain == b.protocol.explain
    values = [f"{side}{end}" for side in ("a", "b") for end in ("", "_ci_low", "_ci_high", "_n")]
    rows = [
        {"explainer": name, "paired": same and {"a", "b"} <= cells.keys(), **cells}
        for name, cells in sorted(found.items())
    ]
    return pd.DataFrame(rows, columns=["explainer", "paired", *values])


def _near_ties(counts: NDArray[np.int64], groups: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """For a and for b: the groups that cannot be told from its worst one."""
    ns = counts.sum(axis=1)
    if not (ns > 0).all():
        return [], []
    right_a, right_b = counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]
    named = [
        [groups[i] for i in near_ties(right.tolist(), ns.tolist())] for right in (right_a, right_b)
    ]
    return named[0], named[1]


def _warnings(
    a: RunRecord,
    b: RunRecord,
    differing: dict[str, tuple[str, str]],
    ties: dict[str, list[str]],
) -> list[str]:
    found = [f"forced: {key} differs ({x} | {y})" for key, (x, y) in differing.items()]
    found += [
        f"near tie in {name}: {', '.join(groups)} may be its worst group too; the interval of the "
        "worst-group difference is then too short"
        for name, groups in ties.items()
        if groups
    ]
    if a.protocol.explain != b.protocol.explain:
        found.append("explanations were measured differently (protocol.explain), so not compared")
    found += [
        f"{record.model.name} was selected on the test split, its numbers are too good"
        for record in (a, b)
        if record.protocol.selection == "test_oracle"
    ]
    return found
