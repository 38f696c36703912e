"""Is one run better than another? Paired statistics on the images that both judged.

`a` is the baseline and `b` the candidate, as in `ifambench compare BASELINE CANDIDATE`; every
difference is b - a. Runs are compared only when they answer the same question: same suite, major
version, data, protocol and split, both complete, over the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.comparable import (
    LoadedRun,
    explanation_differences,
    image_differences,
    not_comparable,
    record_differences,
    run_names,
)
from ifambench.compare_costs import cost_frame
from ifambench.compare_seeds import SeedComparison, compare_seeds
from ifambench.compare_warnings import comparison_warnings
from ifambench.errors import UsageError
from ifambench.gates import Drop, Floor, GateResult, check_gates, parse_drop, parse_floor
from ifambench.metrics import paired, paired_classes, paired_explainers
from ifambench.metrics.base import ScoreContext
from ifambench.metrics.paired_swaps import swap_rows
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
    "compare_candidates",
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
        rows: `metric, group, variant, explainer, a, b, delta, ci_low, ci_high, p, p_holm, method,
            n, better`; see `ifambench.metrics.paired`.
        explainers: SRG of every explainer of either run, each on its own images: `explainer,
            paired` (True when `rows` has the paired difference), and value, limits and n of both.
        verdict: One sentence with the numbers.
        warnings: What to keep in mind when reading it.
        forced: True when the runs are not comparable and were compared all the same.
        primary: The metric that ranks, which the verdict is about.
        candidate: The candidate's own stored metrics, which floors hold to their bar.
        costs: Counts and speeds side by side, see `ifambench.compare_costs`.
        candidates: How many candidates `p_holm` is adjusted over.
    """

    name_a: str
    name_b: str
    rows: pd.DataFrame
    explainers: pd.DataFrame
    verdict: str
    warnings: list[str]
    forced: bool
    primary: str = "worst_group_accuracy"
    candidate: pd.DataFrame = field(default_factory=pd.DataFrame)
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)
    candidates: int = 1


def compare_runs(a: LoadedRun, b: LoadedRun, *, force: bool = False) -> Comparison:
    """Compare candidate b with baseline a on the images both judged.

    Args:
        a: The baseline.
        b: The candidate.
        force: Compare runs that differ in suite, data, protocol or status, on what is common.

    Raises:
        UsageError: If the runs are not comparable (naming the keys), or have no image in common.
    """
    return compare_candidates(a, [b], force=force)[0]


def compare_candidates(
    a: LoadedRun,
    candidates: Sequence[LoadedRun],
    *,
    force: bool = False,
    origins: Sequence[str] = (),
) -> list[Comparison]:
    """Compare every candidate with the baseline a, each on the images it has in common with a.

    Holm's correction is over all groups (or variants, or explainers) of all candidates.

    Args:
        a: The baseline.
        candidates: The candidates.
        force: As for `compare_runs`.
        origins: Where a and the candidates come from, in a word, for runs of one model and seed.

    Raises:
        UsageError: As for `compare_runs`.
    """
    pairs = [_Pair.of(a, b, force) for b in candidates]
    frames = paired.to_frames([pair.rows() for pair in pairs], _directions())
    names = run_names([run.record for run in (a, *candidates)], origins)
    return [
        pair.outcome(frame, (names[0], name), len(pairs))
        for pair, frame, name in zip(pairs, frames, names[1:], strict=True)
    ]


@dataclass(frozen=True)
class _Pair:
    """The baseline and one candidate, cut to what they have in common."""

    a: LoadedRun
    b: LoadedRun
    context: ScoreContext
    sides: tuple[_Side, _Side]
    images: pd.DataFrame
    differing: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, a: LoadedRun, b: LoadedRun, force: bool) -> _Pair:
        """The pair, or the error that says why it is none."""
        differing = record_differences(a.record, b.record) | image_differences(a, b)
        if differing and not force:
            raise not_comparable(differing)
        context, sides = _common_part(a, b)
        images = paired.pair_images(sides[0].predictions, sides[1].predictions, context)
        if images.empty:
            raise UsageError("the runs have no image in common", where=f"{a.folder} and {b.folder}")
        return cls(a, b, context, sides, images, differing)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(groups, 4) 2x2 tables of the groups."""
        return paired.cell_counts(self.images, self.context.groups)

    def rows(self) -> list[paired.PairedRow]:
        """All paired differences."""
        predictions = [side.predictions for side in self.sides]
        rows = paired.accuracy_rows(self.counts, self.context)
        rows += paired_classes.class_rows(self.images, self.context)
        rows += paired_classes.auroc_rows(predictions[0], predictions[1], self.context)
        rows += swap_rows(predictions[0], predictions[1], self.context)
        if explanation_differences(self.a.record, self.b.record):
            return rows
        maps = [side.explanations for side in self.sides]
        return rows + paired_explainers.explainer_rows(maps[0], maps[1], self.context)

    def outcome(self, frame: pd.DataFrame, names: tuple[str, str], candidates: int) -> Comparison:
        """The comparison from the adjusted rows."""
        ties = _near_ties(self.counts, self.context.groups)
        records = self.a.record, self.b.record
        primary, forced = self.a.record.protocol.primary_metric, bool(self.differing)
        named_ties = dict(zip(names, ties, strict=True))
        maps = self.sides[0].explanations, self.sides[1].explanations
        return Comparison(
            *names,
            rows=frame,
            explainers=_explainer_table(*records),
            verdict=verdict(frame, names, ties, primary, forced),
            warnings=comparison_warnings(records, names, self.differing, named_ties, maps),
            forced=forced,
            primary=primary,
            candidate=pd.DataFrame([row.model_dump() for row in self.b.record.metrics]),
            costs=cost_frame(*records),
            candidates=candidates,
        )


@dataclass(frozen=True)
class _Side:
    predictions: pd.DataFrame
    explanations: pd.DataFrame


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


def _explainer_table(a: RunRecord, b: RunRecord) -> pd.DataFrame:
    found: dict[str, dict[str, Any]] = {}
    for side, record in (("a", a), ("b", b)):
        for row in record.metrics:
            if row.metric == "srg" and row.group == "all" and row.explainer:
                cells = found.setdefault(row.explainer, {})
                cells |= {side: row.value, f"{side}_ci_low": row.ci_low}
                cells |= {f"{side}_ci_high": row.ci_high, f"{side}_n": row.n}
    same = not explanation_differences(a, b)
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
