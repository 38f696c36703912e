"""Battery T6, the probe: does the mask alone tell the class, or the background?

A logistic regression reads a mask as a table: every patch, the area and the centre. It is fitted on
four fifths of the images and judged on the last fifth, five times (folds stratified and seeded), by
balanced accuracy, the mean over the values of the share of their images that is found. Everything
about the features is learned on the four fifths: all are centred, area and centre, which vary far
less than a patch, are brought to unit variance. It is asked for the class; for each attribute; and
for each attribute among the images of one class, averaged over the classes, which is what the mask
tells of the background beyond what the class implies.

Chance is not 1 / values: the same procedure is run with the answers permuted among the images that
are probed together, so within the class where that is given. `*_chance` is the mean of these runs,
its limits are their smallest and largest; a probe above the largest of 19 is above chance at the
one-sided level of 5 %. The interval of a probe is a bootstrap of the judged images within the
values, with folds and fits as they are: that of these probes on other images, without the noise of
fitting them. A linear probe bounds what the mask tells from below only.

Values with fewer than five images cannot be in every fold: such a probe is undefined. So that
scoring stays quick, at most `MOST` images are used, drawn by the seed, and more than `MOST_VALUES`
values or classes are not probed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.resampling import bootstrap_paired_rates
from ifambench.metrics.rows import make_row, mean_rows, sorted_images
from ifambench.metrics.selections import SUMMARIES, mask_features, unpack_masks

METRICS: dict[str, dict[str, Any]] = {
    "selected_area": {
        "build": "probe_rows",
        "summary": "Share of the patches in the model's own mask",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "mask_probe_label": {
        "build": "probe_rows",
        "summary": "Balanced accuracy of a linear probe for the class, from the mask alone",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "mask_probe_label_chance": {
        "build": "probe_rows",
        "summary": "The same for permuted classes",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "mask_probe_attribute": {
        "build": "probe_rows",
        "summary": "Balanced accuracy of a linear probe for an attribute, from the mask alone",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "mask_probe_attribute_chance": {
        "build": "probe_rows",
        "summary": "The same for permuted values",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "mask_probe_attribute_given_label": {
        "build": "probe_rows",
        "summary": "mask_probe_attribute within each class, mean over the classes",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "mask_probe_attribute_given_label_chance": {
        "build": "probe_rows",
        "summary": "The same for permuted values",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
}

FOLDS = 5
PERMUTATIONS = 19
MOST = 500
MOST_VALUES = 10
STRENGTH = 0.03
"""Inverse strength of the L2 penalty: there are about as many patches as images."""

_NO_SPREAD = 1e-9
"""Of an area or a centre that only rounding varies."""


class _Judged(NamedTuple):
    """Answers found and asked for, per value, with the true and with permuted answers."""

    found: NDArray[np.int64]
    """(1 + permutations, values)."""
    n: NDArray[np.int64]
    """(values,)."""


def probe_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file, of the masks on the original images.

    Needs the patch grid of the model; without it, or without stored masks, there are none.
    """
    table, grid = tables.selections, context.patch_grid
    if table is None or grid is None:
        return []
    part = table[table["variant"] == "original"]
    if part.empty:
        return []
    images = sorted_images(part, context.groups, "selections (original)")
    masks = unpack_masks(images["mask"], grid)
    areas = images.assign(selected_area=masks.mean(axis=(1, 2)))
    rows = mean_rows(METRICS, ["selected_area"], areas, context, undefined="no mask")
    chosen = _at_most(len(images), context.seed)
    return rows + _probes(images.iloc[chosen], mask_features(masks[chosen]), context)


def _probes(
    images: pd.DataFrame, features: NDArray[np.float64], context: ScoreContext
) -> list[MetricRow]:
    y = images["y"].to_numpy()
    rows = _probe("mask_probe_label", [np.arange(y.size)], y, features, context)
    for name, values in _attributes(images):
        where = {"variant": name}
        whole, classes = [np.arange(y.size)], [np.flatnonzero(y == k) for k in np.unique(y)]
        rows += _probe("mask_probe_attribute", whole, values, features, context, **where)
        metric = "mask_probe_attribute_given_label"
        rows += _probe(metric, classes, values, features, context, **where)
    return rows


def _attributes(images: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.str_]]]:
    for column in sorted(name for name in images.columns if name.startswith("a_")):
        yield column.removeprefix("a_"), images[column].astype(str).to_numpy(dtype=np.str_)


def _probe(
    metric: str,
    parts: list[NDArray[np.intp]],
    answers: NDArray[Any],
    features: NDArray[np.float64],
    context: ScoreContext,
    **fields: Any,
) -> list[MetricRow]:
    """The row of a probe, averaged over parts of the images, and that of its chance."""
    usable = [part for part in parts if _refusal(answers[part]) is None]
    if not usable or len(parts) > MOST_VALUES:
        reason = _refusal(answers[parts[0]]) if len(parts) == 1 else "no class can be probed"
        many = f"not probed within more than {MOST_VALUES} classes"
        reason = many if len(parts) > MOST_VALUES else reason
        return [make_row(METRICS, metric, None, 0, reason=reason, **fields)]
    judged = [_judge(features[part], answers[part], context.seed) for part in usable]
    left = len(parts) - len(usable)
    remark = f"{left} of {len(parts)} classes cannot be probed" if left else None
    runs = np.mean([(item.found / item.n).mean(axis=1) for item in judged], axis=0)
    n = sum(int(item.n.sum()) for item in judged)
    fields |= {"reason": remark}
    value, chance = float(runs[0]), runs[1:]
    limits = _interval(judged, value, context)
    row = make_row(METRICS, metric, value, n, **limits, **fields)
    mean = float(np.clip(chance.mean(), chance.min(), chance.max()))
    limits = {"ci_low": float(chance.min()), "ci_high": float(chance.max())}
    limits |= {"ci_method": f"permutation_range_{PERMUTATIONS}"}
    return [row, make_row(METRICS, f"{metric}_chance", mean, n, **limits, **fields)]


def _refusal(answers: NDArray[Any]) -> str | None:
    """Why these answers cannot be probed for, or None."""
    values, counts = np.unique(answers, return_counts=True)
    if values.size < 2:
        return "there is only one value"
    if values.size > MOST_VALUES:
        return f"not probed for more than {MOST_VALUES} values"
    if counts.min() < FOLDS:
        return f"a value has {counts.min()} images, fewer than the {FOLDS} folds need"
    return None


def _judge(features: NDArray[np.float64], answers: NDArray[Any], seed: int) -> _Judged:
    """How many images of each value the probe finds; first as they are, then permuted."""
    from sklearn.model_selection import StratifiedKFold

    _, codes, n = np.unique(answers, return_inverse=True, return_counts=True)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(codes, codes))
    rng = np.random.default_rng((seed, codes.size))
    orders = [np.arange(codes.size), *(rng.permutation(codes.size) for _ in range(PERMUTATIONS))]
    # the masks move, not the answers, which is the same and needs one set of folds
    found = [_found(features[order], codes, folds) for order in orders]
    return _Judged(np.array(found), n)


def _found(
    features: NDArray[np.float64],
    codes: NDArray[np.intp],
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> NDArray[np.int64]:
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression

    right = np.zeros(codes.size, dtype=bool)
    with config_context(
        assume_finite=True, skip_parameter_validation=True
    ):  # checks take half the time
        for fit, judge in folds:
            ready = _prepared(features, fit)
            probe = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
            right[judge] = probe.fit(ready[fit], codes[fit]).predict(ready[judge]) == codes[judge]
    return np.bincount(codes[right], minlength=int(codes.max()) + 1)


def _prepared(features: NDArray[np.float64], fit: NDArray[np.intp]) -> NDArray[np.float64]:
    """The features as seen from the images `fit`: centred, area and centre of unit variance."""
    centred: NDArray[np.float64] = features - features[fit].mean(axis=0)
    spread = centred[fit, -SUMMARIES:].std(axis=0)
    centred[:, -SUMMARIES:] /= np.where(spread > _NO_SPREAD, spread, 1)
    return centred


def _interval(judged: list[_Judged], value: float, context: ScoreContext) -> dict[str, Any]:
    """Bootstrap of the judged images within the values."""
    found = np.concatenate([item.found[0] for item in judged])
    n = np.concatenate([item.n for item in judged])
    weights = np.concatenate([np.full(item.n.size, 1 / item.n.size) for item in judged])
    counts = np.column_stack([n - found, found])
    weights = weights / len(judged)
    low, high, _ = bootstrap_paired_rates(
        counts, [0.0, 1.0], weights, context.resamples, context.seed
    )
    method = f"class_bootstrap_{context.resamples}"
    return {"ci_low": min(low, value), "ci_high": max(high, value), "ci_method": method}


def _at_most(n: int, seed: int) -> NDArray[np.intp]:
    """Sorted places of at most `MOST` of n images."""
    return np.sort(np.random.default_rng((seed, n)).permutation(n)[:MOST])
