"""Rows of the explanation table of one explainer on one part, and mean curves over all rows.

Keys with an underscore are no columns of the table: curves, map and costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.explain.curves import Curves
from ifambench.metrics.deletion import curve_auc
from ifambench.metrics.map_scores import map_scores
from ifambench.predict.journal import Row
from ifambench.records.store import EXPLANATION_COLUMNS

CURVE_COLUMNS = (
    *("explainer", "group", "fraction", "deletion", "insertion", "n"),
    *("deletion_se", "insertion_se"),
)

TOP_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the patches that comprehensiveness and sufficiency are averaged over (DeYoung et al.
2020, https://arxiv.org/abs/1911.03429)."""

_LOGIT = ("deletion_auc_logit", "insertion_auc_logit", "srg_logit")
_PROBABILITY = ("deletion_auc", "insertion_auc", "srg")


def curve_columns(curves: Curves) -> dict[str, NDArray[np.float64]]:
    """Everything that is read off the curves of N images, (N,) each.

    With D and I the curves, s the score at their intact end and q a share of the patches:
    comprehensiveness is the mean over q of s - D(q), sufficiency that of s - I(q), with straight
    lines between the points of the curve. Those of a mask (`comp_mask`, `suff_mask`) are exact.
    """
    full = curves.deletion[:, 0]
    return {
        "score_full": full,
        "score_empty": curves.deletion[:, -1],
        **_areas(curves.fractions, curves.deletion, curves.insertion, _PROBABILITY),
        **_areas(curves.fractions, curves.deletion_logit, curves.insertion_logit, _LOGIT),
        "comprehensiveness": full - _at_top_shares(curves.fractions, curves.deletion),
        "sufficiency": full - _at_top_shares(curves.fractions, curves.insertion),
        "comp_mask": full - curves.without_top,
        "suff_mask": full - curves.only_top,
    }


def map_columns(
    maps: NDArray[np.float32], coverage: NDArray[np.float64], *, binary: bool
) -> dict[str, NDArray[np.float64]]:
    """Localisation and complexity of maps (D, N, h, w), the mean over the D draws."""
    draws = [map_scores(draw, coverage, binary=binary) for draw in maps]
    return {name: np.mean([draw[name] for draw in draws], axis=0) for name in draws[0]}


def plain_rows(columns: dict[str, Any], common: Row) -> list[Row]:
    """Plain JSON rows; undefined values are None."""
    lists = [np.asarray(column).tolist() for column in columns.values()]
    return [
        {key: _defined(value) for key, value in zip(columns, row, strict=True)} | common
        for row in zip(*lists, strict=True)
    ]


def explanation_table(rows: list[Row]) -> pd.DataFrame:
    """The table of some rows; a score that no row has is a column of NaN."""
    table = pd.DataFrame(rows, columns=list(EXPLANATION_COLUMNS))
    scores = [name for name in EXPLANATION_COLUMNS if name not in _NO_SCORES]
    return table.astype(dict.fromkeys(scores, np.float64))


def mean_curves(
    rows: list[Row], fractions: NDArray[np.float64], groups: Sequence[str]
) -> pd.DataFrame:
    """Mean curves per explainer, over all images and per group that has any.

    The standard errors are those of the mean over images, NaN for a single one.
    """
    explainer = np.array([row["explainer"] for row in rows], dtype=object)
    group = np.array([row["group"] for row in rows], dtype=object)
    curves = {kind: np.array([row[f"_{kind}"] for row in rows]) for kind in _KINDS}
    found = []
    for name in dict.fromkeys(explainer):
        for scope in dict.fromkeys(("all", *groups)):
            members = (explainer == name) & ((group == scope) | (scope == "all"))
            if members.any():
                part = {"explainer": name, "group": scope, "fraction": fractions}
                part |= _statistics({kind: curve[members] for kind, curve in curves.items()})
                found.append(pd.DataFrame(part | {"n": int(members.sum())}))
    return pd.concat(found, ignore_index=True)[list(CURVE_COLUMNS)]


_KINDS = ("deletion", "insertion")
_NO_SCORES = {"id", "group", "y", "y_pred", "target", "explainer", "operator"}
_NO_SCORES |= {"n_ties", "constant_map"}


def _statistics(curves: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    found = {}
    for kind, curve in curves.items():
        n = len(curve)
        found[kind] = curve.mean(axis=0)
        spread = curve.std(axis=0, ddof=1) if n > 1 else np.full(curve.shape[1], np.nan)
        found[f"{kind}_se"] = spread / math.sqrt(n)
    return found


def _areas(
    fractions: NDArray[np.float64],
    deletion: NDArray[np.float64],
    insertion: NDArray[np.float64],
    names: Sequence[str],
) -> dict[str, NDArray[np.float64]]:
    removed, kept = curve_auc(fractions, deletion), curve_auc(fractions, insertion)
    return dict(zip(names, (removed, kept, kept - removed), strict=True))


def _at_top_shares(
    fractions: NDArray[np.float64], curve: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean of a curve over `TOP_SHARES`, (N, S + 1) -> (N,)."""
    values = [np.interp(TOP_SHARES, fractions, one) for one in curve]
    return np.asarray(np.mean(values, axis=1), dtype=np.float64)


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
