"""The tables of predictions: groups, averages, background swaps."""

from __future__ import annotations

from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.rows import (
    common_places,
    is_near_tie,
    label,
    methods_note,
    reason,
    row,
    rows,
    shown,
    shown_points,
    undefined_notes,
    with_arrow,
    worst_group,
)
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Kind, Section

_GAP_NOTE = "BG-Gap: accuracy on mixed_same minus mixed_rand; 0 is best."
_FLIPS_NOTE = "Flips: share of images whose prediction the new background changes."
_LOST_NOTE = "Lost: share of the right predictions that it makes wrong."

AVERAGES = (
    *("worst_group_accuracy", "minority_worst_accuracy", "worst_class_accuracy"),
    *("accuracy", "adjusted_accuracy", "group_mean_accuracy", "class_mean_accuracy"),
)
SWAP_DIFFERENCES = ("bg_gap", "fg_only_drop", "bg_signal", "shape_leak", "gap_id_ood")

_MIXED = ("mixed_", "challenge.")
_SWAPS = frozenset({"only_fg", "no_fg", "only_bg", "only_bg_b", "only_bg_t"})

_AVERAGES_NOTE = (
    "Accuracy counts every image once; adjusted accuracy weights the groups by their shares in "
    "training; group-mean accuracy weights them equally, class-mean accuracy the classes."
)
_UP = "Higher is better for all of them."
_SWAP_NOTES = {
    "bg_gap": _GAP_NOTE,
    "fg_only_drop": "FG-only drop: accuracy on the originals minus only_fg.",
    "bg_signal": "Over chance: accuracy minus the share of the largest class.",
    "shape_leak": "Shape leak: accuracy on no_fg minus only_bg_b.",
    "gap_id_ood": "ID-OOD gap: accuracy on the originals minus the variant.",
}


MANY_GROUPS = 30
"""Groups that a table or figure shows; of more it shows the worst ones."""


def groups_table(record: RunRecord) -> Section:
    """Accuracy of each declared group, the worst one marked; of many groups the worst ones."""
    shares = dict(zip(record.groups, record.train_shares or (), strict=False))
    present = shown_groups(record)
    left_out = len(rows(record, "group_accuracy")) - len(present)
    worst = row(record, "worst_group_accuracy")
    return Section(
        "groups",
        "Accuracy by group",
        (
            Column("group", "left", ALWAYS),
            Column("n", priority=6),
            Column("train share", priority=3),
            Column("accuracy", priority=ALWAYS),
            Column(INTERVAL, priority=7),
            Column("", "left", 8),
        ),
        tuple(_group_cells(record, item, shares.get(item.group), worst) for item in present),
        (
            *((_left_out_note(left_out),) if left_out else ()),
            *methods_note(present),
            *_minority_note(record),
            *undefined_notes(present),
        ),
        tuple("worst" if item.group == worst_group(record) else "" for item in present),
    ).without_empty_columns(numbers.UNDEFINED)


def shown_groups(record: RunRecord) -> list[Metric]:
    """The group accuracies in suite order; of more than `MANY_GROUPS` the smallest, rising."""
    by_name = {item.group: item for item in rows(record, "group_accuracy")}
    found = [by_name[name] for name in record.groups if name in by_name]
    if len(found) <= MANY_GROUPS:
        return found
    return sorted(found, key=lambda item: 2 if item.value is None else item.value)[:MANY_GROUPS]


def _left_out_note(count: int) -> str:
    return f"The worst {MANY_GROUPS} groups; {numbers.count(count)} more are in run.json."


def _group_cells(
    record: RunRecord, item: Metric, share: float | None, worst: Metric | None
) -> tuple[str, ...]:
    text = shown(item)
    mark = ""
    if worst is not None and item.group == worst_group(record):
        mark = "<- worst" + (" (near tie)" if is_near_tie(worst) else "")
    name = f"{item.group} *" if item.group in record.minority else item.group
    share_text = numbers.fraction(share, 3)
    return name, numbers.count(item.n), share_text, text.value, text.interval, mark


def _minority_note(record: RunRecord) -> tuple[str, ...]:
    note = "* minority: a spurious attribute is not what is usual for the class."
    return (note,) if record.minority else ()


def averages_table(record: RunRecord) -> Section:
    """The worst of groups and classes and the averages, each under its full name."""
    found = [item for name in AVERAGES if (item := row(record, name)) is not None]
    return Section(
        "averages",
        "Worst cases and averages",
        (
            Column("measure", "left", ALWAYS),
            Column("value", priority=ALWAYS),
            Column(INTERVAL, priority=7),
            Column("n", priority=5),
            Column("remark", "left", 6),
        ),
        tuple(_average_cells(item) for item in found),
        (_AVERAGES_NOTE, _UP, *methods_note(found), *undefined_notes(found)),
        tuple("worst" if item.metric == AVERAGES[0] else "" for item in found),
    )


def _average_cells(item: Metric) -> tuple[str, ...]:
    text = shown(item)
    remarks = [item.group if item.group != "all" else "", reason(item.reason)]
    remark = ", ".join(part for part in remarks if part)
    return label(item.metric), text.value, text.interval, numbers.count(item.n), remark


def background_table(record: RunRecord) -> Section:
    """Accuracy on each variant, its change against the originals, and the differences of variants.

    Without rows when no variant was evaluated.
    """
    original, others = variant_rows(record)
    gaps = [item for name in SWAP_DIFFERENCES for item in rows(record, name) if _is_shown(item)]
    gaps = gaps if others else []
    listed = [item for item in (original, *others) if item is not None and others]
    kinds: list[Kind] = ["" if item in listed else "total" for item in (*listed, *gaps)]
    return Section(
        "background",
        "Background swaps" if _has_swaps(others) else "Image variants",
        (
            Column("variant", "left", ALWAYS),
            Column("n", priority=4),
            Column("accuracy", priority=ALWAYS),
            Column(INTERVAL, priority=6),
            Column("change", priority=7),
            Column("flips", priority=5, note=_FLIPS_NOTE),
            Column("lost", priority=4, note=_LOST_NOTE),
        ),
        (
            *(_variant_cells(record, item, original, common_places(listed)) for item in listed),
            *(_gap_cells(record, item) for item in gaps),
        ),
        (
            *(_SWAP_NOTES[name] for name in dict.fromkeys(item.metric for item in gaps)),
            *methods_note([*listed, *gaps]),
            *undefined_notes([*listed, *gaps]),
        ),
        tuple(kinds),
    ).without_empty_columns(numbers.UNDEFINED)


def _is_shown(item: Metric) -> bool:
    """A gap without its variants has a row in the record, for gates that ask for it, only."""
    return item.metric != "bg_gap" or item.value is not None


def _has_swaps(variants: list[Metric]) -> bool:
    return any(item.variant in _SWAPS or item.variant.startswith(_MIXED) for item in variants)


def variant_rows(record: RunRecord) -> tuple[Metric | None, list[Metric]]:
    """The accuracy on the original images, and on the other variants in protocol order."""
    found = {item.variant: item for item in rows(record, "variant_accuracy", group="all")}
    original = found.pop("original", None) or row(record, "accuracy", variant="original")
    order = [*record.protocol.variants, *found]
    return original, [found[name] for name in dict.fromkeys(order) if name in found]


def _variant_cells(
    record: RunRecord, item: Metric, original: Metric | None, places: int
) -> tuple[str, ...]:
    text = shown(item, places)
    change = None
    if original is not None and item is not original:
        change = numbers.difference(item.value, original.value)
    return (
        item.variant,
        numbers.count(item.n),
        text.value,
        text.interval,
        numbers.points(change, text.places),
        *_flip_cells(record, item.variant),
    )


def _gap_cells(record: RunRecord, item: Metric) -> tuple[str, ...]:
    text = shown_points(item)
    own = "mixed_same->mixed_rand" if item.metric == "bg_gap" else ""
    name = with_arrow(item.metric)
    if item.metric in ("bg_signal", "gap_id_ood"):  # one row for each of several variants
        name = f"{item.variant}: {name}"
    cells = (text.value, text.interval, numbers.UNDEFINED)
    return name, numbers.count(item.n), *cells, *_flip_cells(record, own)


def _flip_cells(record: RunRecord, variant: str) -> tuple[str, str]:
    flips = row(record, "flip_rate", variant=variant, group="all")
    lost = row(record, "flip_rate_from_correct", variant=variant, group="all")
    return shown(flips).value, shown(lost).value
