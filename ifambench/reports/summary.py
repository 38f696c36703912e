"""What a run says, in a few numbers and sentences."""

from __future__ import annotations

from dataclasses import dataclass

from ifambench.metrics.deletion import operator_of
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.battery_line import composite
from ifambench.reports.rows import (
    IN_POINTS,
    RANDOM,
    explainers,
    is_near_tie,
    label,
    reason,
    row,
    shown,
    shown_points,
)

_STATUS = {
    "started": "This run has not finished: the numbers below are incomplete.",
    "interrupted": "This run was interrupted: the numbers below are incomplete.",
    "partial": "This run finished only in part; what is missing is listed under Warnings.",
}


_WRONG_LABELS = frozenset({"spurious_ap"})
"""Primary metrics of suites in which some images carry a class that they do not show: to be right
on these is to be fooled, so that no accuracy is a headline."""


@dataclass(frozen=True)
class KeyNumber:
    """One of the numbers at the top of a report."""

    label: str
    value: str
    interval: str
    remark: str = ""


def title(record: RunRecord) -> str:
    """What was run on what."""
    return f"{record.model.name} on {record.suite.id}"


def status_note(record: RunRecord) -> str:
    """A sentence for a run that is not complete, else an empty text."""
    return _STATUS.get(record.status, "")


def selection_note(record: RunRecord) -> str:
    """A sentence when the checkpoint was chosen on test data, else an empty text."""
    if record.protocol.selection != "test_oracle":
        return ""
    return (
        "The checkpoint was selected on the test split: these numbers are optimistic, not ranked."
    )


def warnings(record: RunRecord) -> list[str]:
    """What a reader must know: the warnings of the run, and images without a selected patch."""
    empty = row(record, "empty_selection_rate", group="all")
    if empty is None or not empty.value:
        return list(record.warnings)
    split = [row(record, "empty_selection_rate", group=name) for name in record.groups]
    groups = [f"{item.group} {_images(item)}" for item in split if item is not None and item.value]
    text = (
        f"the model selects no patch in {_images(empty)} of {empty.n} images "
        f"({', '.join(groups)}): under a hard mask its prediction does not depend on them"
    )
    return [*record.warnings, text]


def key_numbers(record: RunRecord) -> list[KeyNumber]:
    """What ranks, worst group, accuracy, BG-Gap and the most faithful explainer, if they exist."""
    found = []
    primary = record.protocol.primary_metric
    others = () if primary in _WRONG_LABELS else ("worst_group_accuracy", "accuracy")
    for metric in dict.fromkeys((primary, *others)):
        item = row(record, metric)
        if item is not None and metric != "bg_gap":
            text = shown_points(item) if metric in IN_POINTS else shown(item)
            found.append(KeyNumber(label(metric), text.value, text.interval, _group(item)))
    gap = row(record, "bg_gap", group="all")
    if gap is not None and gap.value is not None:
        text = shown_points(gap)
        found.append(KeyNumber(label("bg_gap"), text.value, text.interval))
    return [*found, *_best_explainer(record)]


def sentences(record: RunRecord) -> list[str]:
    """The findings in words, each with the numbers it rests on."""
    found = (_worst(record), _gap(record), _faithful(record), composite(record))
    return [text for text in found if text]


def _group(item: Metric) -> str:
    return item.group if item.group != "all" else ""


def _images(rate: Metric) -> int:
    """The images behind a rate."""
    return round((rate.value or 0) * rate.n)


def _worst(record: RunRecord) -> str:
    if record.protocol.primary_metric in _WRONG_LABELS:
        return ""
    worst = row(record, "worst_group_accuracy")
    mean = row(record, "group_mean_accuracy")
    if worst is None or worst.value is None:
        return f"Worst-group accuracy is undefined: {reason(worst.reason)}." if worst else ""
    text = shown(worst)
    images = numbers.count(worst.n)
    sentence = f"The worst group is {worst.group}: {text.value} {text.interval} on {images} images"
    if mean is not None and mean.value is not None:
        below = numbers.points(mean.value - worst.value, text.places).lstrip("+")
        sentence += f", {below} below the mean of the groups"
    if is_near_tie(worst):
        sentence += f" ({reason(worst.reason)})"
    return sentence + "."


def _gap(record: RunRecord) -> str:
    gap = row(record, "bg_gap", group="all")
    if gap is None or gap.value is None:
        return ""
    text = shown_points(gap)
    return (
        f"BG-Gap {text.value} {text.interval}: that much accuracy depends on whether the new "
        "background fits the class."
    )


def _best(record: RunRecord) -> Metric | None:
    """The SRG row of the explainer with the highest SRG, the random floor aside."""
    best = next(iter(_judged(record)), None)
    found = row(record, "srg", explainer=best, group="all") if best else None
    return found if found is not None and found.value is not None else None


def _judged(record: RunRecord) -> list[str]:
    """The explainers under the operator of the run, best first, without the random floor."""
    return [name for name in explainers(record) if not operator_of(name) and name != RANDOM]


def _best_explainer(record: RunRecord) -> list[KeyNumber]:
    best = _best(record)
    if best is None:
        return []
    text = shown(best)
    return [KeyNumber("highest SRG", text.value, text.interval, best.explainer or "")]


def _faithful(record: RunRecord) -> str:
    best = _best(record)
    if best is None or best.explainer is None:
        return ""
    text = shown(best)
    sentence = f"The explainer with the highest SRG is {best.explainer}: {text.value} "
    sentence += text.interval
    over = row(record, "srg_over_random", explainer=best.explainer, group="all")
    if over is not None and over.value is not None:
        sentence += f", {numbers.signed(over.value, shown(over).places)} over a random order"
    several = len(_judged(record))
    chosen = (
        f" Chosen as the highest of {several}, so it is rather too high." if several > 1 else ""
    )
    return f"{sentence}.{chosen}"
