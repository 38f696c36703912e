"""What single swap variants say: what foreground, background and silhouette are worth alone.

With acc(v) the accuracy on variant v (Xiao et al. 2020, https://arxiv.org/abs/2006.09994):

- `mixed_rand_accuracy` = acc(mixed_rand), by which swap suites rank: a gap is smallest for a model
  that has learnt nothing;
- `fg_only_drop` = acc(original) - acc(only_fg);
- `bg_signal` = acc(v) - chance on backgrounds without their object, v = only_bg_t, only_bg_b or
  only_bg; chance is the share of the largest class, and taken as known;
- `shape_leak` = acc(no_fg) - acc(only_bg_b): what the hole's shape tells beyond its box;
- `fooled_by_background`: share of mixed_next images predicted as the class of their background,
  (y + 1) mod C. The row of variant mixed_next is the share; `fooled_by_background_excess` subtracts
  the same share on mixed_same, where nothing speaks for that class but the model's habits;
- `challenge_accuracy` of the variants `challenge.0` to `challenge.<k-1>`, the same foregrounds on k
  backgrounds each: share of the foregrounds right on all k. Its variant is `challenge@<k>`.

A metric has a row where its variants were evaluated. `fooled_by_background` has none where the
background was chosen by an attribute and not by class.
"""

from __future__ import annotations

import re
from functools import reduce
from typing import Any

import pandas as pd

from ifambench.metrics.background import RAND, SAME, present_variants
from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.rows import difference_row, make_row, rate_row, select_images

METRICS: dict[str, dict[str, Any]] = {
    "mixed_rand_accuracy": {
        "build": "swap_rows",
        "summary": "Accuracy on mixed_rand, where the background tells nothing about the class",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
    "fg_only_drop": {
        "build": "swap_rows",
        "summary": "Accuracy on the original images minus accuracy on the foreground alone",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "bg_signal": {
        "build": "swap_rows",
        "summary": "Accuracy on backgrounds without their object minus the largest class share",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "shape_leak": {
        "build": "swap_rows",
        "summary": "Accuracy on no_fg minus only_bg_b: what the silhouette of the hole tells",
        "higher_is_better": None,
        "unit": "fraction",
        "version": 1,
    },
    "fooled_by_background": {
        "build": "swap_rows",
        "summary": "Share of mixed_next images predicted as the class of their background",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "fooled_by_background_excess": {
        "build": "swap_rows",
        "summary": "fooled_by_background minus the share predicted so on mixed_same",
        "higher_is_better": False,
        "unit": "fraction",
        "version": 1,
    },
    "challenge_accuracy": {
        "build": "swap_rows",
        "summary": "Share of foregrounds that are right on all their challenge backgrounds",
        "higher_is_better": True,
        "unit": "fraction",
        "version": 1,
    },
}

NEXT = "mixed_next"
BACKGROUNDS = ("only_bg_t", "only_bg_b", "only_bg")
_CHALLENGE = re.compile(r"challenge\.\d+")

Images = dict[str, pd.DataFrame]


def swap_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file for the variants that the predictions hold."""
    variants = present_variants(tables.predictions, context)
    images = {name: select_images(tables.predictions, context, name) for name in variants}
    rows = _differences(images)
    if RAND in images:
        right = int(images[RAND]["correct"].sum())
        n = len(images[RAND])
        rows.append(rate_row(METRICS, "mixed_rand_accuracy", right, n, variant=RAND))
    rows += [_signal_row(images[name], name) for name in BACKGROUNDS if name in images]
    if NEXT in images and NEXT not in context.pair_by:
        rows += _fooled_rows(images, context)
    challenge = [part for name, part in images.items() if _CHALLENGE.fullmatch(name)]
    return rows + ([_challenge_row(challenge)] if challenge else [])


def _differences(images: Images) -> list[MetricRow]:
    pairs = {"fg_only_drop": ("original", "only_fg"), "shape_leak": ("no_fg", "only_bg_b")}
    return [
        difference_row(METRICS, name, images[a], images[b], variant=f"{a}-{b}")
        for name, (a, b) in pairs.items()
        if a in images and b in images
    ]


def _signal_row(part: pd.DataFrame, variant: str) -> MetricRow:
    right, n = int(part["correct"].sum()), len(part)
    chance = float(part["y"].value_counts(normalize=True).max())
    rate = rate_row(METRICS, "bg_signal", right, n, variant=variant)
    assert rate.ci_low is not None
    assert rate.ci_high is not None
    limits = {"ci_low": rate.ci_low - chance, "ci_high": rate.ci_high - chance}
    fields = limits | {"ci_method": rate.ci_method, "variant": variant}
    return make_row(METRICS, "bg_signal", right / n - chance, n, **fields)


def _fooled_rows(images: Images, context: ScoreContext) -> list[MetricRow]:
    classes = len(context.labels) or int(max(part["y"].max() for part in images.values())) + 1
    fooled = _follows(images[NEXT], classes)
    count = int(fooled["correct"].sum())
    rows = [rate_row(METRICS, "fooled_by_background", count, len(fooled), variant=NEXT)]
    if SAME in images:
        habit = _follows(images[SAME], classes)
        fields = {"variant": f"{NEXT}-{SAME}"}
        rows.append(difference_row(METRICS, "fooled_by_background_excess", fooled, habit, **fields))
    return rows


def _follows(part: pd.DataFrame, classes: int) -> pd.DataFrame:
    """`correct` says whether the prediction is the class after the true one."""
    return part.assign(correct=part["y_pred"] == (part["y"] + 1) % classes)


def _challenge_row(parts: list[pd.DataFrame]) -> MetricRow:
    columns = [part.set_index("id")["correct"] for part in parts]
    common = reduce(lambda a, b: a.intersection(b), (column.index for column in columns))
    right = pd.concat([column.loc[common] for column in columns], axis=1).all(axis=1)
    fields = {"variant": f"challenge@{len(parts)}"}
    undefined = "no foreground is on all challenge backgrounds"
    return rate_row(
        METRICS,
        "challenge_accuracy",
        int(right.sum()),
        len(right),
        undefined=undefined,
        **fields,
    )
