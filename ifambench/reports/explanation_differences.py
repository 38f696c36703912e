"""Every explainer beside the random floor and beside a reference explainer, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ifambench.metrics.explainer_differences import default_reference, explainer_differences
from ifambench.metrics.score import context_of
from ifambench.metrics.uncertainty import holm
from ifambench.records.schema import RunRecord
from ifambench.records.store import LoadedRun
from ifambench.reports import numbers
from ifambench.reports.explanation_tables import floor_kinds
from ifambench.reports.rows import common_places, explainers, row, rows
from ifambench.reports.section import ALWAYS, Column, Section

_FLOOR_NOTE = "Both are means of per-image differences of SRG with their 95 % bootstrap interval."
_HOLM_NOTE = "p: two-sided, of no difference to the reference, corrected over the {} rows by Holm."
_MOST_GROUPS = 16
_Item = Mapping[Any, Any]
_Found = dict[tuple[str, str], _Item]


def differences_tables(run: LoadedRun, reference: str | None = None) -> list[Section]:
    """SRG of each explainer minus that of random orders and that of the reference, and by group.

    Args:
        run: The run with its explanation table.
        reference: The explainer to compare with; where None, a fixed one that was measured.

    Returns:
        No table where there is no reference.
    """
    reference = reference or default_reference(explainers(run.record))
    if reference is None or run.explanations.empty:
        return []
    context = context_of(run.record)
    frame = explainer_differences(run.tables, context, reference, "srg")
    items = frame.astype(object).where(frame.notna(), None).to_dict("records")
    found = {(item["explainer"], item["group"]): item for item in items}
    sections = [
        _overall(run.record, found, reference),
        _split(run.record, found, reference),
    ]
    return [section for section in sections if section.rows]


def _overall(record: RunRecord, found: _Found, reference: str) -> Section:
    names = _names(record, found)
    chosen = [found[name, "all"] for name in names]
    places, corrected = _places(chosen), holm([item["p"] for item in chosen])
    return Section(
        "differences",
        "SRG image by image",
        (
            Column("explainer", "left", ALWAYS),
            Column("over random", priority=6),
            Column(f"over {reference}", priority=8),
            Column("p (Holm)", priority=5, note=_HOLM_NOTE.format(len(names))),
            Column("n", priority=3),
        ),
        tuple(
            (
                name,
                _over_random(record, name),
                _with_interval(item["difference"], item["ci_low"], item["ci_high"], places),
                numbers.p_value(p),
                numbers.count(item["n"]),
            )
            for name, item, p in zip(names, chosen, corrected, strict=True)
        ),
        (
            _FLOOR_NOTE,
            f"{reference} is the reference by rule, whatever its score; rows of another operator "
            "are compared under that one.",
        ),
        floor_kinds(names),
    )


def _split(record: RunRecord, found: _Found, reference: str) -> Section:
    groups = record.groups if 1 < len(record.groups) <= _MOST_GROUPS else []
    names = _names(record, found) if groups else []
    places = _places(item for (_, group), item in found.items() if group != "all")

    def cell(name: str, group: str) -> str:
        item = found.get((name, group))
        return numbers.signed(None if item is None else item["difference"], places)

    return Section(
        "differences-by-group",
        f"SRG over {reference} by group",
        (Column("explainer", "left", ALWAYS), *(Column(name) for name in groups)),
        tuple((name, *(cell(name, group) for group in groups)) for name in names),
        kinds=floor_kinds(names),
    )


def _names(record: RunRecord, found: _Found) -> list[str]:
    return [name for name in explainers(record) if (name, "all") in found]


def _over_random(record: RunRecord, name: str) -> str:
    item = row(record, "srg_over_random", explainer=name, group="all")
    if item is None or item.value is None:
        return numbers.UNDEFINED
    places = common_places(rows(record, "srg_over_random", group="all"))
    return _with_interval(item.value, item.ci_low, item.ci_high, places)


def _with_interval(value: float, low: float | None, high: float | None, places: int) -> str:
    return f"{numbers.signed(value, places)} {numbers.signed_interval(low, high, places)}"


def _places(items: Iterable[_Item]) -> int:
    """Decimals of the narrowest interval, for a column."""
    found = (numbers.decimals(item["ci_low"], item["ci_high"], item["n"]) for item in items)
    return max(found, default=3)
