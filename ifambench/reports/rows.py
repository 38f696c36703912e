"""Find metric rows of a record, and name them for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ifambench.errors import UsageError
from ifambench.metrics.deletion import is_floor, operator_of
from ifambench.metrics.score import METRIC_REGISTRY
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers

RANDOM = "random"
"""The explainer that is the floor: a random order of the patches."""

LABELS = {
    "worst_group_accuracy": "worst-group accuracy",
    "accuracy": "accuracy",
    "adjusted_accuracy": "adjusted accuracy",
    "group_mean_accuracy": "group-mean accuracy",
    "worst_class_accuracy": "worst-class accuracy",
    "class_mean_accuracy": "class-mean accuracy",
    "minority_worst_accuracy": "worst minority group",
    "expected_calibration_error": "calibration error (ECE)",
    "group_accuracy": "group accuracy",
    "variant_accuracy": "variant accuracy",
    "mixed_rand_accuracy": "mixed_rand accuracy",
    "bg_gap": "BG-Gap",
    "bg_flip_rate": "BG flips",
    "bg_flip_back_rate": "BG flips back",
    "fg_only_drop": "FG-only drop",
    "bg_signal": "over chance",
    "shape_leak": "shape leak",
    "fooled_by_background": "fooled by background",
    "fooled_by_background_excess": "fooled, over mixed_same",
    "challenge_accuracy": "challenge accuracy",
    "auroc": "AUROC",
    "robust_auroc": "robust AUROC",
    "shortcut_gap": "shortcut gap",
    "shortcut_accuracy": "shortcut accuracy",
    "relative_foreground_sensitivity": "foreground sensitivity (RFS)",
    "spurious_ap": "spurious AP",
    "accuracy_drop": "accuracy drop",
    "gap_id_ood": "ID-OOD gap",
    "class_accuracy_gap": "class accuracy gap",
    "class_share_increase": "class share increase",
    "flip_rate": "flip rate",
    "flip_rate_from_correct": "lost by the swap",
    "deletion_auc": "deletion AUC",
    "insertion_auc": "insertion AUC",
    "srg": "SRG",
    "srg_over_random": "SRG over random",
    "deletion_auc_over_random": "deletion AUC over random",
    "mrg": "MRG",
    "lrg": "LRG",
    "deletion_auc_logit": "deletion AUC of the logit",
    "insertion_auc_logit": "insertion AUC of the logit",
    "srg_logit": "SRG of the logit",
    "comprehensiveness": "comprehensiveness",
    "sufficiency": "sufficiency",
    "comp_mask": "comprehensiveness of the mask",
    "suff_mask": "sufficiency of the mask",
    "relevance_mass": "relevance mass",
    "pointing_game": "pointing game",
    "rank_accuracy": "rank accuracy",
    "relevance_auroc": "ROC-AUC of the relevance",
    "relevance_entropy": "entropy of the relevance",
    "gini": "Gini coefficient",
    "faithfulness_correlation": "faithfulness correlation",
    "faithfulness_correlation_spearman": "faithfulness correlation (Spearman)",
    "infidelity": "infidelity",
    "randomisation_similarity": "similarity after randomisation",
    "random_logit_similarity": "similarity to another class",
    "other_image_similarity": "similarity to another image",
    "stability": "stability",
    "max_sensitivity": "max-sensitivity",
    "mask_iou": "mask IoU",
    "mask_precision": "mask precision",
    "mask_recall": "mask recall",
    "mask_area": "mask area",
    "empty_selection_rate": "empty selections",
    "leak": "logit change outside the mask",
    "leak_rate": "images with a leak",
    "leak_gradient": "gradient outside the mask",
    "embedding_leak": "embedding of other patches",
    "batch_change": "logit change by the batch",
    "mask_area_swapped": "mask area, swapped",
    "free_flip_rate": "flips",
    "frozen_mask_flip_rate": "flips, mask kept",
    "mask_only_flip_rate": "flips, mask alone changed",
    "worst_group_free_flip_rate": "flips of the worst group",
    "worst_group_frozen_mask_flip_rate": "flips of the worst group, mask kept",
    "worst_group_mask_only_flip_rate": "flips of the worst group, mask alone changed",
    "mask_stability": "mask stability (IoU)",
    "mask_recall_swapped": "object inside the mask, swapped",
    "background_admission": "mask outside the object, swapped",
    "mask_self_iou": "IoU of two masks of one image",
    "closure_iou": "closure IoU",
    "closure_agreement": "closure agreement",
    "silhouette_accuracy": "silhouette accuracy",
    "silhouette_over_chance": "silhouette over chance",
    "mask_exchange_accuracy": "accuracy with an exchanged mask",
    "control_accuracy": "accuracy with a control mask",
    "control_score": "score with a control mask",
    "operating_comprehensiveness": "comprehensiveness of the own mask",
    "operating_sufficiency": "sufficiency of the own mask",
    "ranking_srg": "SRG of the own ranking",
    "attack_success_rate": "success of the attack",
    "attack_success_same_mask": "successes with the mask as before",
    "randomised_accuracy": "accuracy, stage drawn anew",
    "randomised_mask_iou": "mask IoU, stage drawn anew",
    "randomised_mask_area": "mask area, stage drawn anew",
    "selected_area": "area of the own mask",
    "mask_probe_label": "mask probe: class",
    "mask_probe_label_chance": "mask probe: class, chance",
    "mask_probe_attribute": "mask probe: attribute",
    "mask_probe_attribute_chance": "mask probe: attribute, chance",
    "mask_probe_attribute_given_label": "mask probe within classes",
    "mask_probe_attribute_given_label_chance": "mask probe within classes, chance",
}

IN_POINTS = frozenset(
    {
        *("bg_gap", "fg_only_drop", "bg_signal", "shape_leak", "fooled_by_background_excess"),
        *("shortcut_gap", "accuracy_drop", "gap_id_ood"),
        *("class_accuracy_gap", "class_share_increase", "silhouette_over_chance"),
    }
)
"""Metrics that are differences of fractions, shown in percentage points."""


def is_fraction(metric: str) -> bool:
    """Whether the values of a metric lie in [0, 1]; False for one that is not registered."""
    entry = METRIC_REGISTRY.entries().get(metric)
    return entry is not None and entry.info["unit"] == "fraction" and metric not in IN_POINTS


_ARROWS = {True: " ↑", False: " ↓", None: ""}
_METHODS = {
    "wilson": "Wilson",
    "wilson_near_ties": "Wilson with near ties allowed for",
    "newcombe": "Newcombe (unpaired)",
    "delong_logit": "DeLong on the logit scale",
    "wilson_smaller_side": "Wilson with the images of the smaller side",
    "mover_wilson": "Wilson combined by MOVER",
    "bonett_price": "Bonett-Price (paired)",
}
_NEAR_TIE = "near_tie"


@dataclass(frozen=True)
class Shown:
    """A metric row as text: the value and its interval, with the same number of decimals."""

    value: str
    interval: str
    places: int


def label(metric: str) -> str:
    """The name of a metric in tables; unknown ones keep their own."""
    return LABELS.get(metric, metric)


def with_arrow(metric: str) -> str:
    """The name, with an arrow up where higher is better and down where lower is."""
    return f"{label(metric)}{_ARROWS[_direction(metric)]}"


def _direction(metric: str) -> bool | None:
    try:
        return METRIC_REGISTRY.entry(metric).info.get("higher_is_better")
    except UsageError:  # of a plug-in that is not installed
        return None


def sentence_case(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def rows(record: RunRecord, metric: str, **where: str | None) -> list[Metric]:
    """The rows of a metric whose fields have the given values."""
    return [
        row
        for row in record.metrics
        if row.metric == metric and all(getattr(row, key) == value for key, value in where.items())
    ]


def row(record: RunRecord, metric: str, **where: str | None) -> Metric | None:
    """The first such row, or None."""
    return next(iter(rows(record, metric, **where)), None)


def shown(metric: Metric | None, places: int | None = None) -> Shown:
    """A row with the digits that its interval allows, or with those given; `-` without a row."""
    if metric is None:
        return Shown(numbers.UNDEFINED, numbers.UNDEFINED, 3)
    if places is None:
        places = common_places([metric])
    return Shown(
        numbers.fraction(metric.value, places),
        numbers.interval(metric.ci_low, metric.ci_high, places),
        places,
    )


def common_places(found: Iterable[Metric]) -> int:
    """Decimals for a column of values on about the same images: those of the narrowest interval.

    Intervals near a boundary of the rule would else make the decimals of a column jump.
    """
    return max((numbers.decimals(item.ci_low, item.ci_high, item.n) for item in found), default=3)


def shown_points(metric: Metric) -> Shown:
    """A row that is a difference of fractions, in percentage points."""
    places = common_places([metric])
    return Shown(
        numbers.points(metric.value, places),
        numbers.points_interval(metric.ci_low, metric.ci_high, places),
        places,
    )


def reason(text: str | None) -> str:
    """A remark of a row for people."""
    return (text or "").replace(f"{_NEAR_TIE}: ", "near tie with ").replace(_NEAR_TIE, "near tie")


def is_near_tie(metric: Metric) -> bool:
    """Whether another group may be the worst one just as well."""
    return (metric.reason or "").startswith(_NEAR_TIE)


def methods_note(found: list[Metric]) -> tuple[str, ...]:
    """One sentence naming how the intervals of these rows were made."""
    names = dict.fromkeys(_method(item.ci_method) for item in found if item.ci_method)
    return (f"95 % intervals: {'; '.join(names)}.",) if names else ()


def undefined_notes(found: list[Metric]) -> tuple[str, ...]:
    """One sentence for each undefined value that says why."""
    return tuple(
        f"{sentence_case(_place(item))}: undefined, {reason(item.reason)}."
        for item in found
        if item.value is None and item.reason
    )


def explainers(record: RunRecord) -> list[str]:
    """The explainers by SRG, best first, the random floor last.

    Those under the operator of the run come before those under others, each with its own floor.
    """
    names = dict.fromkeys(item.explainer for item in record.metrics if item.explainer)
    scores = {item.explainer: item.value for item in rows(record, "srg", group="all")}

    def rank(name: str) -> tuple[str, bool, float]:
        score = scores.get(name)
        return operator_of(name), is_floor(name), float("inf") if score is None else -score

    return sorted(names, key=rank)


def class_name(record: RunRecord, y: int) -> str:
    """The name of a class, or `class <y>` where the suite gives none.

    The index after the last label is that of a classifier with more classes, whose prediction is
    one of those that belong to no label.
    """
    if y == len(record.labels) > 0:
        return "none of the classes"
    return record.labels[y] if 0 <= y < len(record.labels) else f"class {y}"


def worst_group(record: RunRecord) -> str | None:
    """The name of the observed worst group."""
    found = row(record, "worst_group_accuracy")
    return found.group if found is not None and found.value is not None else None


def _method(name: str | None) -> str:
    kind, _, resamples = (name or "").rpartition("_")
    if kind.endswith("bootstrap") and resamples.isdigit():
        return f"{kind.replace('_', ' ')} ({numbers.count(int(resamples))} resamples)"
    return _METHODS.get(name or "", name or "")


def _place(item: Metric) -> str:
    where = [item.explainer, item.variant if item.variant != "original" else None]
    where.append(item.group if item.group != "all" else None)
    return " ".join([label(item.metric), *(f"({part})" for part in where if part)])
