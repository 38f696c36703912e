"""Comprehensiveness and sufficiency: what the score loses without, and with only, the evidence.

With s(x) the score of the whole image, D(q) after removing and I(q) after keeping only the share q
of the most relevant patches, comprehensiveness is the mean of s(x) - D(q) and sufficiency that of
s(x) - I(q) over q = 1, 5, 10, 20 and 50 % (DeYoung et al. 2020, https://arxiv.org/abs/1911.03429),
both read off the deletion and insertion curves, linear between their points. This is the plain mean
over the five shares; the paper divides by one more. The evidence is comprehensive when the first is
high and sufficient when the second is low.

A map that selects patches needs no shares: its own selection is removed or kept (`comp_mask`,
`suff_mask`). These two depend on how much is selected, so compare them at equal area only.
"""

from __future__ import annotations

from typing import Any

from ifambench.metrics.base import MetricRow, ScoreContext, Tables
from ifambench.metrics.column_means import column_rows
from ifambench.metrics.rows import explained

METRICS: dict[str, dict[str, Any]] = {
    "comprehensiveness": {
        "build": "sufficiency_rows",
        "summary": "Mean loss of score without the 1, 5, 10, 20 and 50 % most relevant patches",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "sufficiency": {
        "build": "sufficiency_rows",
        "summary": "Mean loss of score with only the 1, 5, 10, 20 and 50 % most relevant patches",
        "higher_is_better": False,
        "unit": "probability",
        "version": 1,
    },
    "comp_mask": {
        "build": "sufficiency_rows",
        "summary": "Mean loss of score without the selected patches",
        "higher_is_better": True,
        "unit": "probability",
        "version": 1,
    },
    "suff_mask": {
        "build": "sufficiency_rows",
        "summary": "Mean loss of score with only the selected patches",
        "higher_is_better": False,
        "unit": "probability",
        "version": 1,
    },
}

_UNDEFINED = "no explained image"
_OF_CURVES = dict.fromkeys(("comprehensiveness", "sufficiency"), _UNDEFINED)
_OF_SELECTIONS = dict.fromkeys(("comp_mask", "suff_mask"), _UNDEFINED)


def sufficiency_rows(tables: Tables, context: ScoreContext) -> list[MetricRow]:
    """Rows of all metrics of this file; those of a selection for explainers that select patches."""
    rows = []
    for explainer, frame in explained(tables.explanations, context.groups):
        rows += column_rows(METRICS, _OF_CURVES, frame, context, explainer)
        rows += column_rows(METRICS, _OF_SELECTIONS, frame, context, explainer, measured=True)
    return rows
