"""What to keep in mind when reading a comparison of two runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from ifambench.comparable import explanation_differences, preprocessing_differences
from ifambench.metrics.paired_explainers import other_targets
from ifambench.records.schema import RunRecord

_TRAINED = "trained here"


def comparison_warnings(
    records: tuple[RunRecord, RunRecord],
    names: tuple[str, str],
    differing: Mapping[str, tuple[str, str]],
    ties: Mapping[str, list[str]],
    maps: tuple[pd.DataFrame, pd.DataFrame],
) -> list[str]:
    """The warnings, the gravest first.

    Args:
        records: Of the baseline and of the candidate.
        names: Of both, in words.
        differing: What makes them incomparable, when they are compared all the same.
        ties: For each name, the groups that may be its worst one as well.
        maps: The tables of explanations.
    """
    found = [f"forced: {key} differs ({x} | {y})" for key, (x, y) in differing.items()]
    found += _selection(records, names)
    found += [
        f"near tie in {name}: {', '.join(groups)} may be its worst group too; the interval of the "
        "worst-group difference allows for it, so it is wide"
        for name, groups in ties.items()
        if groups
    ]
    return [*found, *_seeds(records), *_preprocessing(records), *_explanations(records, maps)]


def _selection(records: tuple[RunRecord, RunRecord], names: tuple[str, str]) -> Iterator[str]:
    for record, name in zip(records, names, strict=True):
        if record.protocol.selection == "test_oracle":
            yield f"{name} was selected on the test split, its numbers are too good"


def _seeds(records: tuple[RunRecord, RunRecord]) -> Iterator[str]:
    """One training seed says nothing about the training method."""
    weights = [record.model.weights for record in records]
    trained = any(item.source == _TRAINED for item in weights)
    if trained and weights[0].sha256 != weights[1].sha256:
        yield (
            "one training seed a side: the intervals are about these two models on other images, "
            "not about their training methods"
        )


def _preprocessing(records: tuple[RunRecord, RunRecord]) -> Iterator[str]:
    found = preprocessing_differences(*records)
    if found:
        text = ", ".join(f"{key} {x} | {y}" for key, (x, y) in found.items())
        yield f"the models prepare the same images differently: {text}"


def _explanations(
    records: tuple[RunRecord, RunRecord], maps: tuple[pd.DataFrame, pd.DataFrame]
) -> Iterator[str]:
    if any(table.empty for table in maps):
        return
    if found := explanation_differences(*records):
        text = ", ".join(f"{key} {x} | {y}" for key, (x, y) in found.items())
        yield f"explanations were measured differently and are not paired: {text}"
        return
    differ, n = other_targets(*maps)
    if differ:
        yield (
            f"the explained class differs between the runs for {differ} of {n} images: each run "
            "explains the class that it predicts"
        )
