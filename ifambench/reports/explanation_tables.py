"""The tables of explanations, whole and by group."""

from __future__ import annotations

from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.rows import (
    RANDOM,
    common_places,
    explainers,
    label,
    methods_note,
    reason,
    row,
    rows,
    sentence_case,
    shown,
)
from ifambench.reports.section import ALWAYS, Column, Kind, Section

_SRG_NOTE = "SRG: insertion minus deletion AUC; higher is better."
_FLOOR_NOTE = "random is the floor: what a random order of the patches attains."
_MASS_NOTE = "Mass: share of the positive relevance that lies on the object."

EXPLANATIONS = ("deletion_auc", "insertion_auc", "srg", "relevance_mass", "mask_iou")


def explanations_table(record: RunRecord) -> Section:
    """Faithfulness and localisation of each explainer, best SRG first, the random floor last."""
    names = explainers(record)
    found = [
        item
        for metric in EXPLANATIONS
        for item in rows(record, metric, group="all")
        if item.explainer
    ]
    why = _undefined_notes(found)
    section = Section(
        "explanations",
        "Explanations",
        (
            Column("explainer", "left", ALWAYS),
            Column("n", priority=2),
            Column("deletion AUC", priority=8, note="Deletion AUC: lower is better."),
            Column("insertion AUC", priority=6, note="Insertion AUC: higher is better."),
            Column("SRG", priority=ALWAYS, note=_SRG_NOTE),
            Column("over random", priority=7, note=_FLOOR_NOTE),
            Column("mass", priority=5, note=_MASS_NOTE + why.get("relevance_mass", "")),
            Column("mask IoU", priority=4, note=why.get("mask_iou", "").strip()),
            Column("SRG interval", priority=3),
        ),
        tuple(_explainer_cells(record, name) for name in names),
        methods_note(found),
        tuple("floor" if name == RANDOM else "" for name in names),
    )
    return section.without_empty_columns(numbers.UNDEFINED)


def _explainer_cells(record: RunRecord, name: str) -> tuple[str, ...]:
    found = {key: row(record, key, explainer=name, group="all") for key in EXPLANATIONS}
    texts = {key: shown(item, _places(record, key)) for key, item in found.items()}
    srg, over = found["srg"], row(record, "srg_over_random", explainer=name, group="all")
    gain = over.value if over is not None else None
    return (
        f"{name} (floor)" if name == RANDOM else name,
        numbers.count(srg.n) if srg is not None else numbers.UNDEFINED,
        texts["deletion_auc"].value,
        texts["insertion_auc"].value,
        texts["srg"].value,
        numbers.signed(gain, _places(record, "srg_over_random")),
        texts["relevance_mass"].value,
        texts["mask_iou"].value,
        texts["srg"].interval,
    )


def _places(record: RunRecord, metric: str) -> int:
    found = rows(record, metric, group="all")
    return common_places(item for item in found if item.value is not None)


def _undefined_notes(found: list[Metric]) -> dict[str, str]:
    """For each metric, why it is undefined for some explainers."""
    places: dict[tuple[str, str], list[str]] = {}
    for item in found:
        if item.value is None and item.reason and item.explainer:
            places.setdefault((item.metric, item.reason), []).append(item.explainer)
    notes: dict[str, str] = {}
    for (metric, why), where in places.items():
        note = f" {sentence_case(label(metric))}: {reason(why)} for {', '.join(where)}."
        notes[metric] = f"{notes.get(metric, '')}{note}"
    return notes


def by_group(record: RunRecord, metric: str, field: str, names: list[str]) -> Section:
    """A metric with one row per variant or explainer, one column per group."""
    grouped = [item for item in rows(record, metric) if item.group in record.groups]
    present = [name for name in names if any(getattr(item, field) == name for item in grouped)]
    places = common_places(grouped)
    cells = {(getattr(item, field), item.group): shown(item, places).value for item in grouped}
    kinds: tuple[Kind, ...] = tuple("floor" if name == RANDOM else "" for name in present)
    return Section(
        f"{metric}-by-group",
        f"{sentence_case(label(metric))} by group",
        (Column(field, "left", ALWAYS), *(Column(name) for name in record.groups)),
        tuple(
            (name, *(cells.get((name, group), numbers.UNDEFINED) for group in record.groups))
            for name in present
        ),
        (),
        kinds,
    )
