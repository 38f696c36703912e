"""The tables of the battery: one question each, the numbers, and what they do not say.

No table ends in a verdict. Whether a mask explains a prediction has no single number: a leak of 0
is compatible with a mask that follows the background, and a mask of everything passes several
tests. The numbers stand side by side, with what each is to be compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ifambench.metrics import mask_probes
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
from ifambench.reports.battery_images import images_note
from ifambench.reports.rows import methods_note, row, rows, shown, undefined_notes
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Kind, Section

_FLIPS = ("free_flip_rate", "frozen_mask_flip_rate", "mask_only_flip_rate")
_MASKS = ("mask_stability", "mask_recall_swapped", "background_admission", "mask_area_swapped")
_CLOSURES = ("closure_iou", "closure_agreement")
_PROBES = {
    "mask_probe_label": "probe of the mask: class",
    "mask_probe_attribute": "probe of the mask",
    "mask_probe_attribute_given_label": "probe within the classes",
}


def battery_tables(record: RunRecord) -> list[Section]:
    """One table per question, the first with the images of all; none without a battery."""
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
    found = [section for section in sections if section.rows]
    noted = [replace(item, remarks=(images_note(record), *item.remarks)) for item in found[:1]]
    return [*noted, *found[1:]]


def _leaks(record: RunRecord) -> Section:
    names = {
        "leak_gradient": "gradient of the logit",
        "batch_change": "logits, rounding",
        "embedding_leak": "embedding, other patches",
    }
    cells, unknown = [], (numbers.UNDEFINED, numbers.UNDEFINED)
    for item in rows(record, "leak"):
        share = row(record, "leak_rate", variant=item.variant)
        n = numbers.count(share.n if share is not None else item.n)
        what = f"logits, outside = {item.variant}"
        cells.append((what, tiny(item.value), *value_cells(share), n))
    for metric, name in names.items():
        for item in rows(record, metric):
            place = "" if item.variant == "original" else f", {item.variant}"
            line = (f"{name}{place}", tiny(item.value), *unknown, numbers.count(item.n))
            cells.append(line)
    found = [item for name in ("leak", *names) for item in rows(record, name)]
    return Section(
        "battery-leak",
        "Given the mask, what else reaches the prediction?",
        (
            Column("what changes", "left", ALWAYS),
            Column("largest change", priority=ALWAYS),
            Column("images changed", priority=7),
            Column(INTERVAL, priority=4),
            Column("n", priority=5),
        ),
        tuple(cells),
        (
            "The mask is kept and what lies outside it is replaced. 0 is equality of every bit; "
            "it says nothing of how the mask was found.",
            *methods_note(rows(record, "leak_rate")),
            *undefined_notes(found),
        ),
    )


def _flips(record: RunRecord) -> Section:
    found = [item for name in _FLIPS for item in rows(record, name, group="all")]
    lines = []
    for where in dict.fromkeys(item.variant for item in found):
        free, kept, alone = (row(record, name, group="all", variant=where) for name in _FLIPS)
        worst = row(record, "worst_group_free_flip_rate", variant=where)
        place = numbers.UNDEFINED
        if worst is not None:
            place = f"{shown(worst).value} {worst.group} (n {count_of(worst)})"
        others = (shown(kept).value, shown(alone).value, place, count_of(free or found[0]))
        lines.append((where, *value_cells(free), *others))
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
            "the background acts through the mask. Worst group: the one with the most flips.",
            *methods_note(found),
            *undefined_notes(found),
        ),
    ).without_empty_columns(numbers.UNDEFINED)


def _masks(record: RunRecord) -> Section:
    ceilings = rows(record, "mask_self_iou", group="all")
    columns = [rows(record, name, group="all") for name in _MASKS]
    found = [item for column in columns for item in column]
    columns[0] = [*columns[0], *ceilings]
    lines = []
    for where in dict.fromkeys(item.variant for item in found):
        cells = [row(record, name, group="all", variant=where) for name in _MASKS]
        first = next(item for item in cells if item is not None)
        texts = [value_cells(item, columns[k]) for k, item in enumerate(cells)]
        name = "unchanged" if where == "original" else where
        lines.append((name, *texts[0], *(text for text, _ in texts[1:]), count_of(first)))
    empty = [numbers.UNDEFINED] * (len(_MASKS) - 1)
    for item in ceilings:
        name = f"the same image{of_condition(item)}"
        lines.append((name, *value_cells(item, columns[0]), *empty, count_of(item)))
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
        first = value_cells(iou, rows(record, _CLOSURES[0], group="all"))
        lines.append((where, *first, *value_cells(agrees), count_of(iou or found[0])))
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
        (
            "IoU of the mask with that of the image of which only the mask is left: 1 where it is "
            "found again. 1 - IoU is how far the mask depends on what it hides.",
            *_chance_note(record),
            *methods_note(found),
            *undefined_notes(found),
        ),
    )


def _chance_note(record: RunRecord) -> Iterator[str]:
    """Of two independent masks of area a, a^2 is in both and 2a - a^2 in either."""
    area = row(record, "selected_area", group="all")
    if area is not None and area.value is not None:
        chance = area.value / (2 - area.value)
        yield f"Two random masks of the mean area have an IoU of about {chance:.2f}."


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
            "Above chance, the shape of the mask alone tells something of the answer; no deletion "
            "curve sees that.",
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
