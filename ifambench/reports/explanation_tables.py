"""The tables of explanations, whole and by group."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ifambench.metrics.deletion import is_floor
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.rows import (
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


@dataclass(frozen=True)
class _Measure:
    """A metric as a column: its heading, how soon it gives way, and what must be said of it."""

    metric: str
    heading: str
    priority: int
    note: str = ""
    signed: bool = False
    """Whether the values are differences to something else, shown with their sign."""


_CURVES = (
    _Measure("deletion_auc", "deletion", 7, "Deletion AUC: lower is better."),
    _Measure("insertion_auc", "insertion", 6, "Insertion AUC: higher is better."),
    _Measure("srg", "SRG", ALWAYS, "SRG: insertion minus deletion AUC; higher is better."),
    _Measure(
        "srg_over_random",
        "over random",
        8,
        "random is the floor: what a random order of the patches attains.",
        signed=True,
    ),
    _Measure(
        "mrg",
        "MRG",
        4,
        "MRG and LRG: what removing the most and the least relevant patches first gains over a "
        "random order; their sum is SRG.",
        signed=True,
    ),
    _Measure("lrg", "LRG", 4, signed=True),
)
_EVIDENCE = (
    _Measure(
        "comprehensiveness",
        "comp",
        8,
        "Comp: loss of score without the most relevant patches (mean over 1, 5, 10, 20 and 50 % "
        "of them); higher is better.",
    ),
    _Measure("sufficiency", "suff", 8, "Suff: loss with only these; lower is better."),
    _Measure(
        "comp_mask",
        "comp mask",
        7,
        "Of a selection: without it, and with only it; compare at equal area only.",
    ),
    _Measure("suff_mask", "suff mask", 7),
    _Measure("srg_logit", "logit SRG", 6, "Logit: the same areas of the logit."),
    _Measure("deletion_auc_logit", "logit deletion", 4),
    _Measure("insertion_auc_logit", "logit insertion", 3),
)
_LOCATION = (
    _Measure(
        "relevance_mass",
        "mass",
        8,
        "Mass: share of the positive relevance that lies on the object.",
    ),
    _Measure("pointing_game", "pointing", 7, "Pointing: share of the maxima on the object."),
    _Measure(
        "rank_accuracy",
        "rank",
        7,
        "Rank: share on the object of as many top pixels as the object has.",
    ),
    _Measure("relevance_auroc", "ROC-AUC", 7),
    _Measure(
        "mask_iou",
        "mask IoU",
        8,
        "Mask IoU, precision, recall: of the pixels of the selected patches.",
    ),
    _Measure("mask_precision", "precision", 4),
    _Measure("mask_recall", "recall", 4),
    _Measure("mask_area", "area", 6, "Area: share of the patches that is selected."),
    _Measure("gini", "Gini", 5, "Gini: 0 for a uniform map."),
    _Measure("relevance_entropy", "entropy", 2),
)
_LOCATION_NOTE = (
    "Location is not faithfulness: a model that uses the background, and a map that says so, "
    "scores low."
)

EXPLANATIONS = tuple(item.metric for item in (*_CURVES, *_EVIDENCE, *_LOCATION))
"""The metrics of these tables."""


def explanations_table(record: RunRecord) -> Section:
    """The faithfulness of each explainer, best SRG first, the random floor last."""
    section = _explainer_table(record, "explanations", "Explanations", _CURVES)
    names, places = _present(record, _CURVES), _places(record, "srg")
    srg = [row(record, "srg", explainer=name, group="all") for name in names]
    counts = (numbers.UNDEFINED if item is None else numbers.count(item.n) for item in srg)
    limits = (shown(item, places).interval for item in srg)
    section = _with_column(section, "explainer", Column("n", priority=2), tuple(counts))
    section = _with_column(section, "SRG", Column("SRG interval", priority=7), tuple(limits))
    return section.without_empty_columns(numbers.UNDEFINED)


def evidence_table(record: RunRecord) -> Section:
    """Comprehensiveness, sufficiency, and the areas of logits."""
    return _explainer_table(record, "evidence", "Comprehensiveness and sufficiency", _EVIDENCE)


def location_table(record: RunRecord) -> Section:
    """Where the maps lie, and how concentrated they are."""
    title = "Location and spread of the maps"
    return _explainer_table(record, "location", title, _LOCATION, _LOCATION_NOTE)


def _explainer_table(
    record: RunRecord, key: str, title: str, measures: tuple[_Measure, ...], *remarks: str
) -> Section:
    """One row per explainer and one column per measure that any of them has."""
    of_all = {item: rows(record, item.metric, group="all") for item in measures}
    known = tuple(
        item for item, found in of_all.items() if any(one.value is not None for one in found)
    )
    names = _present(record, measures)
    found = [one for item in known for one in of_all[item]]
    why = _undefined_notes(found)
    columns = (
        Column(item.heading, priority=item.priority, note=item.note + why.get(item.metric, ""))
        for item in known
    )
    return Section(
        key,
        title,
        (Column("explainer", "left", ALWAYS), *columns),
        tuple((_title(name), *(_cell(record, name, item) for item in known)) for name in names),
        (*remarks, *methods_note(found)),
        floor_kinds(names),
    )


def _present(record: RunRecord, measures: tuple[_Measure, ...]) -> list[str]:
    """The explainers that have a value of any of the measures."""
    wanted = {item.metric for item in measures}
    found = {
        item.explainer
        for item in record.metrics
        if item.metric in wanted and item.group == "all" and item.value is not None
    }
    return [name for name in explainers(record) if name in found]


def _cell(record: RunRecord, name: str, measure: _Measure) -> str:
    item = row(record, measure.metric, explainer=name, group="all")
    places = _places(record, measure.metric)
    if measure.signed:
        return numbers.signed(None if item is None else item.value, places)
    return shown(item, places).value


def _title(name: str) -> str:
    return f"{name} (floor)" if is_floor(name) else name


def floor_kinds(names: list[str]) -> tuple[Kind, ...]:
    """Which of these rows are those of a random floor."""
    return tuple("floor" if is_floor(name) else "" for name in names)


def _with_column(section: Section, after: str, column: Column, cells: tuple[str, ...]) -> Section:
    """The section with one more column after that of the given heading, or at the end."""
    at = section.header.index(after) + 1 if after in section.header else len(section.columns)
    lines = zip(section.rows, cells, strict=True)
    return replace(
        section,
        columns=(*section.columns[:at], column, *section.columns[at:]),
        rows=tuple((*line[:at], cell, *line[at:]) for line, cell in lines),
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
    return Section(
        f"{metric}-by-group",
        f"{sentence_case(label(metric))} by group",
        (Column(field, "left", ALWAYS), *(Column(name) for name in record.groups)),
        tuple(
            (name, *(cells.get((name, group), numbers.UNDEFINED) for group in record.groups))
            for name in present
        ),
        (),
        floor_kinds(present),
    )
