"""The table of a comparison over training seeds (`ifambench compare`)."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd

from ifambench.reports import numbers
from ifambench.reports.comparison import (
    difference_cells,
    difference_columns,
    explanation_rows,
    heading,
    holm_remark,
    measure,
    more_measures,
    number,
    result,
    shown_rows,
)
from ifambench.reports.section import Section

_METHODS = {
    "paired_t": "Student's t of the differences between runs of the same seed (paired_t)",
    "welch_t": "Welch's t, the seeds of the two sides are not the same (welch_t)",
}


_ON_REQUEST = ("bg_flip_back_rate", "flip_rate")


class SeedComparisonLike(Protocol):
    """What is read of `ifambench.compare_seeds.SeedComparison`."""

    @property
    def rows(self) -> pd.DataFrame:
        """Means, deviations, numbers of seeds, differences."""

    @property
    def names(self) -> tuple[str, str]:
        """The baseline and the candidate."""

    @property
    def candidates(self) -> int:
        """How many candidates p-values are corrected for."""


def seeds_section(comparison: SeedComparisonLike, everything: bool = False) -> Section:
    """Means over seeds and their difference, one row per measure."""
    rows = comparison.rows
    of_maps = explanation_rows(rows, everything, ("srg",))
    shown = pd.concat([shown_rows(rows, everything, _ON_REQUEST), of_maps])
    return Section(
        "seeds",
        f"{heading(*comparison.names)}, over training seeds",
        difference_columns("measure", count="seeds"),
        tuple(_cells(row) for row in shown.to_dict("records")),
        (
            f"Mean ± standard deviation (ddof 1) over seeds{_method(rows)}.",
            *more_measures(rows, shown),
            *holm_remark(comparison.candidates),
        ),
    )


def _method(rows: pd.DataFrame) -> str:
    found = [_METHODS[name] for name in rows["method"].dropna().unique()]
    return f"; {' and '.join(found)}" if found else ""


def _cells(row: dict[Any, Any]) -> tuple[str, ...]:
    places = numbers.decimals(number(row["ci_low"]), number(row["ci_high"]), 300)
    counts = (row["a_n"], row["b_n"])
    return (
        measure(row),
        _mean(row, "a"),
        _mean(row, "b"),
        *difference_cells(row, places, in_points=pd.isna(row["explainer"])),
        str(counts[0]) if counts[0] == counts[1] else f"{counts[0]}, {counts[1]}",
        result(row["better"]),
    )


def _mean(row: dict[Any, Any], side: str) -> str:
    std = number(row[f"{side}_std"])
    mean = numbers.fraction(number(row[f"{side}_mean"]), 3)
    return mean if std is None else f"{mean} ± {std:.3f}"
