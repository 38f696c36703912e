"""What the same images say about two runs: paired differences b - a with interval and p-value.

`a` is the baseline and `b` the candidate, so a positive difference of an accuracy speaks for b.
Both runs judged the same images; pairing removes the difficulty of the images from the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.metrics.base import ScoreContext
from ifambench.metrics.deletion import is_floor
from ifambench.metrics.paired_worst import worst_difference
from ifambench.metrics.resampling import bootstrap_paired_rates
from ifambench.metrics.rows import select_images
from ifambench.metrics.uncertainty import Inference, bonett_price, holm, mcnemar

ALPHA = 0.05
COLUMNS = (
    *("metric", "group", "variant", "explainer", "a", "b", "delta", "ci_low", "ci_high"),
    *("p", "p_holm", "method", "n", "better"),
)
GROUP_METHOD = "bonett_price, mcnemar"
WORST_METHOD = "intersection_bounds"
_NUMBERS = ("a", "b", "delta", "ci_low", "ci_high", "p", "p_holm")


@dataclass(frozen=True)
class PairedRow:
    """One difference of two runs.

    Attributes:
        metric: Name of the metric.
        a: Value of the baseline on the common images, or None when undefined.
        b: Value of the candidate on the common images.
        delta: b - a.
        n: Common images.
        ci_low: Lower limit of the 95 % interval of delta.
        ci_high: Upper limit.
        p: Two-sided p-value of "no difference".
        method: How interval and p-value were made.
        group: Group name, `all`, or the names of the two worst groups.
        explainer: Explainer name, or None.
        variant: Image variant, or the two variants that a flip is between.
    """

    metric: str
    a: float | None
    b: float | None
    delta: float | None
    n: int
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    method: str | None = None
    group: str = "all"
    explainer: str | None = None
    variant: str = "original"


def to_frames(
    candidates: Sequence[list[PairedRow]], directions: Mapping[str, bool | None]
) -> list[pd.DataFrame]:
    """The rows of each candidate as a DataFrame with `p_holm` and `better`.

    `p_holm` is adjusted over all rows of one metric: its groups, variants or explainers, of all
    candidates. `better` is `a` or `b` when the interval excludes 0 *and* p_holm < 0.05, else
    `tie`; None where the difference or the metric's direction is undefined, and for the random
    floor, whose areas show the models' confidence only.
    """
    rows = [row for part in candidates for row in part]
    frame = pd.DataFrame([asdict(row) for row in rows])
    frame = frame.assign(p_holm=np.nan).astype(dict.fromkeys(_NUMBERS, "float64"))
    for _, part in frame[frame["p"].notna()].groupby("metric"):
        frame.loc[part.index, "p_holm"] = holm(part["p"].tolist())
    better = [
        _better(row, adjusted, directions.get(row.metric))
        for row, adjusted in zip(rows, frame["p_holm"], strict=True)
    ]
    frame["better"] = pd.Series(better, dtype=object)
    ends = np.cumsum([len(part) for part in candidates])
    return [
        frame[list(COLUMNS)].iloc[end - len(part) : end].reset_index(drop=True)
        for part, end in zip(candidates, ends, strict=True)
    ]


def _better(row: PairedRow, p_holm: float, higher_is_better: bool | None) -> str | None:
    if row.delta is None or row.ci_low is None or row.ci_high is None or higher_is_better is None:
        return None
    if row.explainer is not None and is_floor(row.explainer):
        return None
    if row.ci_low <= 0 <= row.ci_high or p_holm >= ALPHA:
        return "tie"
    return "b" if (row.delta > 0) == higher_is_better else "a"


def pair_images(
    a: pd.DataFrame, b: pd.DataFrame, context: ScoreContext, variant: str = "original"
) -> pd.DataFrame:
    """Images both runs predicted, with the same label and group: `correct_a, correct_b` by id."""
    key = ["id", "group", "y"]
    sides = [select_images(side, context, variant)[[*key, "correct"]] for side in (a, b)]
    return (
        sides[0]
        .merge(sides[1], on=key, suffixes=("_a", "_b"), validate="one_to_one")
        .sort_values("id", ignore_index=True)
    )


def cell_counts(pairs: pd.DataFrame, groups: Iterable[Any], by: str = "group") -> NDArray[np.int64]:
    """(groups, 4) images: both right, only a, only b, neither; the groups are values of `by`."""
    cell = 3 - 2 * pairs["correct_a"].astype(int) - pairs["correct_b"].astype(int)
    table = pd.crosstab(pairs[by], cell)
    full = table.reindex(index=list(groups), columns=range(4), fill_value=0)
    return np.asarray(full.to_numpy(), dtype=np.int64)


def accuracy_rows(counts: NDArray[np.int64], context: ScoreContext) -> list[PairedRow]:
    """Group accuracies, then worst group, then the three averages, from the 2x2 tables.

    Without an image in some group the worst group and the weighted averages are undefined. With a
    single group there is only the accuracy.
    """
    if len(context.groups) == 1:
        return [average_row("accuracy", counts, np.ones(1), context)]
    rows = [_group_row(cells, name) for cells, name in zip(counts, context.groups, strict=True)]
    ns = counts.sum(axis=1)
    if not (ns > 0).all():
        names = ("worst_group_accuracy", "accuracy", "adjusted_accuracy", "group_mean_accuracy")
        return rows + [undefined(name, int(ns.sum())) for name in names]
    equal = np.full(len(ns), 1 / len(ns))
    rows.append(worst_row("worst_group_accuracy", counts, context.groups))
    rows.append(average_row("accuracy", counts, ns / ns.sum(), context))
    shares = np.array(context.train_shares or [0.0])
    if shares.sum() == 0:
        rows.append(undefined("adjusted_accuracy", int(ns.sum())))
    else:
        rows.append(average_row("adjusted_accuracy", counts, shares / shares.sum(), context))
    return [*rows, average_row("group_mean_accuracy", counts, equal, context)]


def group_rates(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy of each group of a and of b."""
    ns = counts.sum(axis=1)
    return (counts[:, 0] + counts[:, 1]) / ns, (counts[:, 0] + counts[:, 2]) / ns


def _group_row(cells: NDArray[np.int64], name: str) -> PairedRow:
    both, only_a, only_b, neither = cells.tolist()
    n = both + only_a + only_b + neither
    if n == 0:
        return undefined("group_accuracy", 0, group=name)
    found = Inference(*bonett_price(only_a, only_b, n), mcnemar(only_a, only_b))
    means = ((both + only_a) / n, (both + only_b) / n)
    return paired_row("group_accuracy", means, n, found, GROUP_METHOD, group=name)


def worst_row(metric: str, counts: NDArray[np.int64], names: Sequence[str]) -> PairedRow:
    """The difference of the two minima over the rows of `counts`, which are called `names`."""
    rates = group_rates(counts)
    worst = [int(np.argmin(side)) for side in rates]
    attained = list(dict.fromkeys(names[index] for index in worst))
    means = (float(rates[0].min()), float(rates[1].min()))
    n = int(counts[sorted(set(worst))].sum())
    found = worst_difference(counts)
    return paired_row(metric, means, n, found, WORST_METHOD, group=" / ".join(attained))


def average_row(
    metric: str, counts: NDArray[np.int64], weights: NDArray[np.float64], context: ScoreContext
) -> PairedRow:
    """The difference of two weighted means of the rates of the rows of `counts`."""
    rates = group_rates(counts)
    outcomes = [0, -1, 1, 0]  # of the cells both, only a, only b, neither
    found = bootstrap_paired_rates(counts, outcomes, weights, context.resamples, context.seed)
    means = (float(rates[0] @ weights), float(rates[1] @ weights))
    return paired_row(metric, means, int(counts.sum()), found, f"bootstrap_{context.resamples}")


def paired_row(
    metric: str,
    means: tuple[float, float],
    n: int,
    found: Inference,
    method: str,
    group: str = "all",
    explainer: str | None = None,
    variant: str = "original",
) -> PairedRow:
    """The row of two values, the interval and p-value of their difference, if there is one."""
    a, b = means
    interval: tuple[float | None, float | None, float | None, str | None] = (*found, method)
    if math.isnan(found.low):
        interval = (None, None, None, None)
    return PairedRow(metric, a, b, b - a, n, *interval, group, explainer, variant)


def undefined(metric: str, n: int, group: str = "all", variant: str = "original") -> PairedRow:
    """A row without a value."""
    return PairedRow(metric, None, None, None, n, group=group, variant=variant)
