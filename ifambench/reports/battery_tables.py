"""The tables of the battery: one question each, the numbers, and what they do not say.

No table ends in a verdict. Whether a mask explains a prediction has no single number: a leak of 0
is compatible with a mask that follows the background, and a mask of everything passes several
tests. The numbers stand side by side, with what each is to be compared with.
"""

from __future__ import annotations

from ifambench.metrics import invariance, mask_probes, mask_use
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.battery_cells import (
    count_of,
    of_condition,
    tiny,
    value_cells,
)
from ifambench.reports.battery_control_tables import (
    attack_table,
    controls_table,
    points_table,
    stages_table,
)
from ifambench.reports.rows import methods_note, row, rows, shown, undefined_notes
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Kind, Section

BATTERY = frozenset({*invariance.METRICS, *mask_use.METRICS, *mask_probes.METRICS})
"""The metrics that these tables show."""

_FLIPS = ("free_flip_rate", "frozen_mask_flip_rate", "mask_only_flip_rate")
_MASKS = ("mask_stability", "mask_recall_swapped", "background_admission", "mask_area_swapped")
_CLOSURES = ("closure_iou", "closure_agreement")
_PROBES = {
    "mask_probe_label": "probe of the mask: class",
    "mask_probe_attribute": "probe of the mask",
    "mask_probe_attribute_given_label": "probe within the classes",
}


def battery_tables(record: RunRecord) -> list[Section]:
    """One table per question; none without a battery."""
    sections = [
        _leaks(record),
        _flips(record),
        _masks(record),
        _closure(record),
        _shapes(record),
        controls_table(record),
        stages_table(record),
        points_table(record),
        attack_table(record),
    ]
    return [section for section in sections if section.rows]


def _leaks(record: RunRecord) -> Section:
    names = {
        "leak_gradient": "gradient of the logit",
        "batch_change": "logits, rounding",
        "embedding_leak": "embedding, other patches",
    }
    cells = []
    for item in rows(record, "leak"):
        share = row(record, "leak_rate", variant=item.variant)
        changed = shown(share).value if share is not None else numbers.UNDEFINED
        n = numbers.count(share.n if share is not None else item.n)
        cells.append((f"logits, outside = {item.variant}", tiny(item.value), changed, n))
    for metric, name in names.items():
        for item in rows(record, metric):
            place = "" if item.variant == "original" else f", {item.variant}"
            line = (f"{name}{place}", tiny(item.value), numbers.UNDEFINED, numbers.count(item.n))
            cells.append(line)
    found = [item for name in ("leak", *names) for item in rows(record, name)]
    return Section(
        "battery-leak",
        "Given the mask, what else reaches the prediction?",
        (
            Column("what changes", "left", ALWAYS),
            Column("largest change", priority=ALWAYS),
            Column("images changed", priority=7),
            Column("n", priority=5),
        ),
        tuple(cells),
        (
            "The mask is kept and what lies outside it is replaced. 0 is equality of every bit; "
            "it says nothing of how the mask was found.",
            *undefined_notes(found),
        ),
    )


def _flips(record: RunRecord) -> Section:
    found = [item for name in _FLIPS for item in rows(record, name, group="all")]
    lines = []
    for where in dict.fromkeys(item.variant for item in found):
        free, kept, alone = (row(record, name, group="all", variant=where) for name in _FLIPS)
        worst = row(record, "worst_group_free_flip_rate", variant=where)
        place = numbers.UNDEFINED if worst is None else f"{shown(worst).value} {worst.group}"
        text = shown(free)
        others = (shown(kept).value, shown(alone).value, place, count_of(free or found[0]))
        lines.append((where, text.value, text.interval, *others))
    return Section(
        "battery-background",
        "What does a changed background change?",
        (
            Column("background", "left", ALWAYS),
            Column("flips", priority=ALWAYS),
            Column(INTERVAL, priority=5),
            Column("mask kept", priority=ALWAYS),
            Column("mask alone", priority=8),
            Column("worst group", "left", 7),
            Column("n", priority=4),
        ),
        tuple(lines),
        (
            "Flips: predictions that change; with the mask kept, when the pixels alone change, and "
            "when the mask alone does. Where free flips are many and those with the mask kept few, "
            "the background acts through the mask.",
            *methods_note(found),
            *undefined_notes(found),
        ),
    ).without_empty_columns(numbers.UNDEFINED)


def _masks(record: RunRecord) -> Section:
    found = [item for name in _MASKS for item in rows(record, name, group="all")]
    lines = []
    for where in dict.fromkeys(item.variant for item in found):
        cells = [row(record, name, group="all", variant=where) for name in _MASKS]
        first = next(item for item in cells if item is not None)
        values = [shown(item).value for item in cells]
        name = "unchanged" if where == "original" else where
        lines.append((name, values[0], shown(cells[0]).interval, *values[1:], count_of(first)))
    ceilings = rows(record, "mask_self_iou", group="all")
    empty = [numbers.UNDEFINED] * (len(_MASKS) - 1)
    for item in ceilings:
        name = f"the same image{of_condition(item)}"
        lines.append((name, *value_cells(item), *empty, count_of(item)))
    kinds: list[Kind] = [""] * (len(lines) - len(ceilings))
    kinds += ["floor"] * len(ceilings)
    return Section(
        "battery-mask",
        "What does it do to the mask?",
        (
            Column("background", "left", ALWAYS),
            Column("IoU", priority=ALWAYS),
            Column(INTERVAL, priority=5),
            Column("object inside", priority=8),
            Column("mask outside", priority=8),
            Column("area", priority=7),
            Column("n", priority=4),
        ),
        tuple(lines),
        (
            "IoU with the mask of the unchanged image; the same image again is what it can be at "
            "most. Object inside: share of the object that is selected; mask outside: share of the "
            "selection that is not object.",
            *methods_note([*found, *ceilings]),
            *undefined_notes([*found, *ceilings]),
        ),
        tuple(kinds),
    ).without_empty_columns(numbers.UNDEFINED)


def _closure(record: RunRecord) -> Section:
    found = [item for name in _CLOSURES for item in rows(record, name, group="all")]
    lines = []
    for where in dict.fromkeys(item.variant for item in found):
        iou, agrees = (row(record, name, group="all", variant=where) for name in _CLOSURES)
        first, second = shown(iou), shown(agrees)
        cells = (first.value, first.interval, second.value, second.interval)
        lines.append((where, *cells, count_of(iou or found[0])))
    return Section(
        "battery-closure",
        "Does the mask find itself again where only it is shown?",
        (
            Column("outside", "left", ALWAYS),
            Column("IoU", priority=ALWAYS),
            Column("IoU interval", priority=6),
            Column("prediction stays", priority=ALWAYS),
            Column(INTERVAL, priority=5),
            Column("n", priority=4),
        ),
        tuple(lines),
        ("1 - IoU is how far the mask depends on what it hides.", *methods_note(found)),
    )


def _shapes(record: RunRecord) -> Section:
    cells = [_silhouette(record, item) for item in rows(record, "silhouette_accuracy", group="all")]
    probes = [(name, item) for name in _PROBES for item in rows(record, name)]
    cells += [_probe(record, name, item) for name, item in probes]
    exchange = rows(record, "mask_exchange_accuracy", group="all")
    cells += [
        (
            "mask of another image of the class",
            *value_cells(item),
            numbers.UNDEFINED,
            count_of(item),
        )
        for item in exchange
    ]
    found = [*rows(record, "silhouette_accuracy", group="all"), *(item for _, item in probes)]
    return Section(
        "battery-shape",
        "Does the mask tell the class or the background?",
        (
            Column("from", "left", ALWAYS),
            Column("accuracy", priority=ALWAYS),
            Column(INTERVAL, priority=5),
            Column("chance", priority=ALWAYS),
            Column("n", priority=4),
        ),
        tuple(cells),
        (
            "Silhouette: the content of the mask is replaced; chance is the share of the largest "
            "class. Probe: balanced accuracy of a linear probe of the mask; chance is the range of "
            f"{mask_probes.PERMUTATIONS} runs with permuted answers.",
            "What the shape of the mask tells is seen by no deletion curve.",
            *methods_note([*found, *exchange]),
            *undefined_notes([*found, *exchange]),
        ),
    )


def _silhouette(record: RunRecord, item: Metric) -> tuple[str, ...]:
    over = row(record, "silhouette_over_chance", variant=item.variant)
    chance = numbers.difference(item.value, over.value if over is not None else None)
    text = numbers.fraction(chance, shown(item).places)
    return f"silhouette, {item.variant}", *value_cells(item), text, count_of(item)


def _probe(record: RunRecord, name: str, item: Metric) -> tuple[str, ...]:
    chance = row(record, f"{name}_chance", variant=item.variant)
    text = shown(chance, shown(item).places).interval
    of = "" if name == "mask_probe_label" else f": {item.variant}"
    return f"{_PROBES[name]}{of}", *value_cells(item), text, count_of(item)
