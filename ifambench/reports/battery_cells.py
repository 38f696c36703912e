"""Cells of the battery tables."""

from __future__ import annotations

from collections.abc import Iterable

from ifambench.records.schema import Metric
from ifambench.reports import numbers
from ifambench.reports.rows import common_places, shown


def tiny(value: float | None) -> str:
    """A change: exactly 0, or two digits."""
    if value is None:
        return "no number"
    return "0" if value == 0 else f"{value:.1e}"


def value_cells(item: Metric | None, column: Iterable[Metric] = ()) -> tuple[str, str]:
    """The value and its interval, with the digits of the column if one is given."""
    known = [other for other in column if other.value is not None]
    text = shown(item, common_places(known) if known else None)
    return text.value, text.interval


def signed(item: Metric) -> str:
    """A difference with its sign."""
    return numbers.signed(item.value, shown(item).places)


def difference_cells(item: Metric) -> tuple[str, str]:
    """A difference with its sign, and its interval."""
    places = shown(item).places
    return signed(item), numbers.signed_interval(item.ci_low, item.ci_high, places)


def of_condition(item: Metric) -> str:
    """The condition behind a name, if there is one."""
    return "" if item.variant == "original" else f", {item.variant}"


def count_of(item: Metric) -> str:
    """The number of images."""
    return numbers.count(item.n)
