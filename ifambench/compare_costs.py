"""What two runs cost, side by side, without interval and without verdict.

Counts (forward passes, parameters) hold on every machine. Speeds are those of one machine on one
day, so they are shown only where device, threads and number format agree, and even then without a
verdict: nothing in a record says what else the machine was doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ifambench.records.schema import Phase, RunRecord

COLUMNS = ("quantity", "explainer", "a", "b", "ratio")
_SPEEDS = {"predict": "predicted images/s", "train": "trained images/s"}
_EXPLAIN = "explain"


def cost_frame(a: RunRecord, b: RunRecord) -> pd.DataFrame:
    """The costs that both records hold and that can be set side by side: `COLUMNS`."""
    found = [*_counts(a, b), *([] if cost_differences(a, b) else _speeds(a, b))]
    rows = [
        {"quantity": name, "explainer": explainer, "a": x, "b": y, "ratio": y / x if x else None}
        for name, explainer, x, y in found
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(("a", "b", "ratio"), "float64"))


def cost_differences(a: RunRecord, b: RunRecord) -> dict[str, tuple[str, str]]:
    """What keeps speeds from being set side by side, with both values."""
    sides = [
        {key: str(getattr(record.environment, key)) for key in ("device", "threads", "dtype")}
        for record in (a, b)
    ]
    return {key: (x, sides[1][key]) for key, x in sides[0].items() if x != sides[1][key]}


def _counts(a: RunRecord, b: RunRecord) -> Iterator[tuple[str, str | None, float, float]]:
    yield "parameters", None, a.model.parameters, b.model.parameters
    phases = [_phase(record, _EXPLAIN) for record in (a, b)]
    if phases[0] is not None and phases[1] is not None:
        yield "forward passes of explanations", None, phases[0].images, phases[1].images
    spent: list[dict[str, Any]] = [record.explaining.get("explainers", {}) for record in (a, b)]
    for name in sorted(spent[0].keys() & spent[1].keys()):
        passes = [side[name].get("forwards") for side in spent]
        if None not in passes:
            yield "forward passes", name, passes[0], passes[1]


def _speeds(a: RunRecord, b: RunRecord) -> Iterator[tuple[str, None, float, float]]:
    for phase, name in {**_SPEEDS, _EXPLAIN: "forward passes/s of explanations"}.items():
        found = [_phase(record, phase) for record in (a, b)]
        speeds = [item.images_per_second if item else None for item in found]
        if speeds[0] is not None and speeds[1] is not None:
            yield name, None, speeds[0], speeds[1]


def _phase(record: RunRecord, name: str) -> Phase | None:
    found = (item for item in record.phases if item.name == name and item.images)
    return next(found, None)
