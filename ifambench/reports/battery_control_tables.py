"""The tables of the battery: other masks, stages drawn anew and attacks beside the own mask."""

from __future__ import annotations

from ifambench.records.schema import RunRecord
from ifambench.reports.battery_cells import (
    count_of,
    difference_cells,
    of_condition,
    value_cells,
)
from ifambench.reports.rows import (
    methods_note,
    reason,
    row,
    rows,
    sentence_case,
    undefined_notes,
)
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Section

_POINTS = {
    "specificity": "own less random mask (specificity)",
    "necessity": "all less complement (necessity)",
    "operating_sufficiency": "all less own mask (sufficiency)",
    "ranking_srg": "SRG of the model's own ranking",
}


def controls_table(record: RunRecord) -> Section:
    """The own mask and masks that it is compared with."""
    found = rows(record, "control_accuracy", group="all")
    scores = [row(record, "control_score", group="all", variant=item.variant) for item in found]
    known = [item for item in scores if item is not None]
    return Section(
        "battery-controls",
        "Is the mask needed, is any mask enough?",
        (
            Column("mask", "left", ALWAYS),
            Column("accuracy", priority=ALWAYS),
            Column(INTERVAL, priority=7),
            Column("score", priority=ALWAYS),
            Column("score interval", priority=6),
            Column("n", priority=4),
        ),
        tuple(
            (
                item.variant,
                *value_cells(item),
                *value_cells(score, known),
                count_of(item),
            )
            for item, score in zip(found, scores, strict=True)
        ),
        (
            "random, center and shifted have the area of the own mask. If a random mask does as "
            "well, the own one is not what counts. Score: probability of the class that is "
            "predicted with the own mask, which favours that mask.",
            *methods_note([*found, *known]),
            *undefined_notes(found),
        ),
        tuple("floor" if item.variant == "random" else "" for item in found),
    )


def stages_table(record: RunRecord) -> Section:
    """What is left when the weights of a stage are drawn anew."""
    found = rows(record, "randomised_accuracy", group="all")
    others = ("randomised_mask_iou", "randomised_mask_area")
    lines = []
    for item in found:
        where = {"group": "all", "variant": item.variant}
        values = [
            value_cells(row(record, name, **where), rows(record, name, group="all"))[0]
            for name in others
        ]
        name = "as trained" if item.variant == "original" else item.variant
        lines.append((name, *value_cells(item), *values, count_of(item)))
    return Section(
        "battery-stages",
        "What is left when a stage is drawn anew?",
        (
            Column("drawn anew", "left", ALWAYS),
            Column("accuracy", priority=ALWAYS),
            Column(INTERVAL, priority=6),
            Column("mask IoU", priority=8),
            Column("mask area", priority=8),
            Column("n", priority=4),
        ),
        tuple(lines),
        (
            "Same area: the random first stage selects as many patches as the own mask has. If "
            "that keeps the accuracy, the mask is irrelevant; one that selects most of the image "
            "keeps it in any case. One draw of the weights: the intervals are over images.",
            *methods_note(found),
            *undefined_notes(found),
        ),
    )


def points_table(record: RunRecord) -> Section:
    """What the mask is worth, as differences of scores."""
    found = [(name, item) for name in _POINTS for item in rows(record, name, group="all")]
    return Section(
        "battery-points",
        "What is the mask worth, by the model's own masking?",
        (
            Column("difference of scores", "left", ALWAYS),
            Column("value", priority=ALWAYS),
            Column(INTERVAL, priority=7),
            Column("n", priority=5),
        ),
        tuple((_POINTS[name], *difference_cells(item), count_of(item)) for name, item in found),
        (
            "All: the score of stage 2 under all patches. Necessity is also the comprehensiveness "
            "of the mask; a sufficiency below 0 means that the mask alone scores more than all. "
            "The class is the one predicted with the own mask, which favours that mask.",
            *methods_note([item for _, item in found]),
            *undefined_notes([item for _, item in found]),
        ),
    )


def attack_table(record: RunRecord) -> Section:
    """How often an attack outside the mask succeeds, and whether the mask moved."""
    wanted = {
        "attack_success_rate": "prediction changed",
        "attack_success_same_mask": "of these, mask as before",
    }
    found = [(name, item) for name in wanted for item in rows(record, name, group="all")]
    return Section(
        "battery-attack",
        "What can an attack outside the mask do?",
        (
            Column("outcome", "left", ALWAYS),
            Column("share", priority=ALWAYS),
            Column(INTERVAL, priority=7),
            Column("n", priority=5),
        ),
        tuple(
            (f"{wanted[name]}{of_condition(item)}", *value_cells(item), count_of(item))
            for name, item in found
        ),
        (
            f"Projected gradient ascent on the pixels outside the own mask{_strength(record)}. "
            "Where nothing leaks past the mask, every success must have changed the mask.",
            *methods_note([item for _, item in found]),
            *(
                f"{sentence_case(wanted[name])}: undefined, {reason(item.reason)}."
                for name, item in found
                if item.value is None
            ),
        ),
    )


def _strength(record: RunRecord) -> str:
    """Steps and reach, in the words of the literature: colours are 8-bit numbers."""
    how = record.explaining.get("battery")
    if not how:
        return ""
    reach = f"{255 * how['attack_epsilon']:.3g}/255"
    return f", {how['attack_steps']} steps, each colour changed by at most {reach}"
