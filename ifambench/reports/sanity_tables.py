"""The table of the smoke tests of explainers: one row per explainer, no verdict."""

from __future__ import annotations

from ifambench.metrics.sanity import METRICS, RANDOMISATION
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
from ifambench.reports.section import ALWAYS, Column, Section

SANITY = tuple(METRICS)
"""The metrics that this table shows."""

_FLOOR = "other_image_similarity"
_RANDOMISED_NOTE = (
    "Randomised: similarity (Spearman) with the map after the weights of the head, of the last "
    "block, of the last k blocks with what follows, or of the whole network are drawn anew. "
    "A smoke test, no ranking: where it stays above that of other images, the map does not follow "
    "the weights."
)
_COLUMNS = {
    "faithfulness_correlation": Column(
        "faithfulness r",
        priority=7,
        note="Faithfulness: correlation of relevance and score drop over random fifths of the "
        "patches, Pearson's r and Spearman's rho.",
    ),
    "faithfulness_correlation_spearman": Column("faithfulness rho", priority=2),
    "infidelity": Column(
        "infidelity",
        priority=1,
        note="Infidelity: squared error of the best scaled relevance as a guess of the score drop, "
        "blind to the sign, and a constant map already guesses the mean drop; lower is better.",
    ),
    _FLOOR: Column(
        "other image",
        priority=8,
        note="Other image: similarity of the maps of two images, the floor of the similarities.",
    ),
    "random_logit_similarity": Column(
        "other class",
        priority=6,
        note="Other class: similarity with the map of another class, 1 where the class does not "
        "matter.",
    ),
    "stability": Column(
        "stability",
        priority=5,
        note="Stability: similarity with the maps of noisy images, and max-sensitivity the largest "
        "relative change of the map under smaller noise; a map that ignores the image has 1 and 0.",
    ),
    "max_sensitivity": Column("max-sensitivity", priority=1),
}


def sanity_table(record: RunRecord) -> Section:
    """What the maps follow, by explainer in the order of SRG; no rows where nothing was checked."""
    found = [item for item in record.metrics if item.metric in METRICS and item.explainer]
    checked = {item.explainer for item in found}
    names = [name for name in explainers(record) if name in checked]
    depths = _depths(found)
    columns = [_depth_column(depth, first=k == 0) for k, depth in enumerate(depths)]
    section = Section(
        "sanity",
        "Do the maps follow the model?",
        (
            Column("explainer", "left", ALWAYS),
            Column("n", priority=3),
            *columns,
            *_COLUMNS.values(),
        ),
        tuple(_cells(record, name, depths) for name in names),
        (*methods_note(found), *_undefined(found)),
        tuple("floor" if name == RANDOM else "" for name in names),
    )
    return section.without_empty_columns(numbers.UNDEFINED)


def _cells(record: RunRecord, name: str, depths: list[str]) -> tuple[str, ...]:
    counted = [
        item.n for item in record.metrics if item.metric in METRICS and item.explainer == name
    ]
    randomised = [
        _cell(record, RANDOMISATION, row(record, RANDOMISATION, explainer=name, variant=depth))
        for depth in depths
    ]
    others = [_cell(record, key, row(record, key, explainer=name)) for key in _COLUMNS]
    return (name, numbers.count(max(counted)), *randomised, *others)


def _cell(record: RunRecord, metric: str, found: Metric | None) -> str:
    places = common_places(item for item in rows(record, metric) if item.value is not None)
    return shown(found, places).value


def _depths(found: list[Metric]) -> list[str]:
    """The depths of randomisation, from the head down to everything."""

    def rank(depth: str) -> tuple[int, int]:
        kind, _, k = depth.partition(":")
        order = ("head", "last_block", "cascading", "all")
        return (order.index(kind) if kind in order else len(order), int(k) if k.isdigit() else 0)

    return sorted({item.variant for item in found if item.metric == RANDOMISATION}, key=rank)


def _depth_column(depth: str, *, first: bool) -> Column:
    kind, _, k = depth.partition(":")
    name = f"last {k} blocks" if kind == "cascading" else kind.replace("_", " ")
    priorities = {"all": 8, "cascading": 3}
    note = _RANDOMISED_NOTE if first else ""
    return Column(f"randomised: {name}", priority=priorities.get(kind, 4), note=note)


def _undefined(found: list[Metric]) -> tuple[str, ...]:
    """One sentence for each remark, naming the explainers it is about."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for item in found:
        if item.reason:
            about = places.setdefault((item.metric, item.reason), {})
            about[str(item.explainer)] = None
    kinds = {key: ", ".join(about) for key, about in places.items()}
    return tuple(
        f"{sentence_case(label(metric))}: {reason(why)} ({about})."
        for (metric, why), about in kinds.items()
    )
