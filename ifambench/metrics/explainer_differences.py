"""Explainers compared image by image with one of them, the reference.

Two explainers of one run see the same images, operator and targets, so their difference is paired:
its interval is much narrower than the two intervals of the means suggest. The reference is named
before anything is measured; the explainer that happens to be best would make every other look worse
than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan

import pandas as pd

from ifambench.metrics.base import ScoreContext, Tables
from ifambench.metrics.column_means import column_of
from ifambench.metrics.deletion import operator_of
from ifambench.metrics.resampling import MEAN, bootstrap_mean
from ifambench.metrics.rows import explained

REFERENCES = ("grad-cam", "attention-rollout")
"""Explainers that serve as reference, the first that was measured."""

COLUMNS = (
    *("explainer", "reference", "group", "difference"),
    *("ci_low", "ci_high", "ci_method", "n", "p"),
)


def default_reference(explainers: Iterable[str]) -> str | None:
    """The explainer that the others are compared with, fixed beforehand; None without any.

    >>> default_reference(["random", "attention-rollout", "ifam-mask"])
    'attention-rollout'
    """
    known = set(explainers)
    return next((name for name in REFERENCES if name in known), None)


def explainer_differences(
    tables: Tables, context: ScoreContext, reference: str, metric: str
) -> pd.DataFrame:
    """Mean per-image difference of each explainer to the reference, over all images and per group.

    An explainer under another operator (`ifam-mask@drop`) is compared with the reference under that
    operator. Images on which one of the two is undefined are left out. The bootstrap resamples
    images within groups; p is its two-sided p-value, not corrected for the number of explainers.

    Args:
        tables: Of the run.
        context: Groups and statistics.
        reference: The explainer's label without operator.
        metric: A metric that is the mean of a column of the explanation table, such as `srg`.

    Returns:
        A frame with the columns `COLUMNS`, explainers by name and `all` before the groups; empty
        where the reference or the metric was not measured.
    """
    parts = dict(explained(tables.explanations, context.groups))
    rows = []
    for explainer, frame in parts.items():
        named = reference + operator_of(explainer)
        other = parts.get(named)
        if other is not None and explainer != named and column_of(metric) in frame:
            pairs = _paired(frame, other, column_of(metric))
            rows += [
                {"explainer": explainer, "reference": named, **row}
                for row in _inference(pairs, context)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _paired(frame: pd.DataFrame, other: pd.DataFrame, column: str) -> pd.DataFrame:
    key = ["id", "operator"]
    pairs = frame[[*key, "group", column]].merge(other[[*key, column]], on=key)
    difference = pairs[f"{column}_x"].astype(float) - pairs[f"{column}_y"].astype(float)
    return pairs.assign(difference=difference).dropna(subset=["difference"])


def _inference(pairs: pd.DataFrame, context: ScoreContext) -> Iterator[dict[str, object]]:
    """One row for all images and one per group that has any."""
    for group in context.scopes:
        part = pairs if group == "all" else pairs[pairs["group"] == group]
        if not part.empty:
            found = bootstrap_mean(
                part["difference"], part["group"], context.resamples, context.seed
            )
            yield {
                "group": group,
                "difference": float(part["difference"].mean()),
                "ci_low": found.low,
                "ci_high": found.high,
                "ci_method": None if isnan(found.low) else f"{MEAN}_{context.resamples}",
                "n": len(part),
                "p": found.p,
            }
