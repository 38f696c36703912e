"""What explanations were measured of, how, and at what cost: the header that numbers need.

Numbers of two protocols are not comparable, so everything that changes them stands in one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ifambench.metrics.deletion import operator_of
from ifambench.records.key import digest
from ifambench.records.schema import RunRecord
from ifambench.records.store import LoadedRun
from ifambench.reports import numbers
from ifambench.reports.rows import explainers, row, shown
from ifambench.reports.section import ALWAYS, Column, Section

_DIGITS = 12
"""Characters of a sha256 that are shown; the whole one is in the record."""

_TARGETS = {
    "predicted": "the class predicted for the whole image",
    "label": "the class of the label",
}
_RULES = {
    "patch-curve/1": {
        "score": "softmax probability of the target; its logit in columns of their own",
        "order": "descending signed relevance; ties by a permutation seeded with the image, where "
        "more than a fifth of the patches tie the mean over several",
        "area": "trapezoid over the share of patches, both ends included",
    }
}
_PACKAGES = ("torch", "timm", "captum", "numpy", "scipy", "scikit-learn", "pandas")
_SHOWN = frozenset(
    {"protocol", "images", "operator", "operators", "steps", "target", "random_draws", "seed"}
)


_SHARED_NOTE = (
    "Curve inputs: images evaluated for its curves; what several explainers share is evaluated "
    "once and counted with each."
)
_NAMES = {
    "precision": "precision of the forward passes",
    "sanity": "images of the sanity checks",
    "battery": "images of the battery",
}


def explanation_protocol(run: LoadedRun) -> Section:
    """The protocol of the explanations as a table of two columns; no rows when there are none."""
    record = run.record
    settings = {**record.protocol.explain, **record.explaining.get("protocol", {})}
    content = _measured(run, settings) | _how(record, settings) | _cost(record) | _left_out(record)
    measured = bool(explainers(record)) and not run.explanations.empty
    return Section(
        "explanation-protocol",
        "How the explanations were measured",
        (Column("item", "left", ALWAYS), Column("value", "left", ALWAYS)),
        tuple((key, value) for key, value in content.items() if value) if measured else (),
    )


def explanation_cost(record: RunRecord) -> Section:
    """Forward passes and times of each explainer, where the run recorded them."""
    spent = record.explaining.get("explainers", {})
    names = [name for name in explainers(record) if name in spent]
    names += [name for name in spent if name not in names]
    return Section(
        "explanation-cost",
        "Cost of the explanations",
        (
            Column("explainer", "left", ALWAYS),
            Column("curve inputs", priority=7, note=_SHARED_NOTE),
            Column("curve time", priority=8),
            Column("map time", priority=8),
        ),
        tuple((name, *_spent(spent[name])) for name in names),
    ).without_empty_columns(numbers.UNDEFINED)


def _measured(run: LoadedRun, settings: Mapping[str, Any]) -> dict[str, str]:
    """Of which model, and on which images."""
    record, images = run.record, sorted(set(run.explanations["id"].astype(str)))
    weights = record.model.weights
    accuracy = row(record, "accuracy", group="all")
    text = shown(accuracy)
    images_text = f"{numbers.count(len(images))} of {record.protocol.eval_split}"
    clean = f"{text.value} {text.interval}, n {numbers.count(accuracy.n)}" if accuracy else ""
    return {
        "protocol": str(settings.get("protocol", "")),
        "model": f"{record.model.name}, weights sha256 {weights.sha256[:_DIGITS]}",
        "clean accuracy": clean,
        "images": f"{images_text}, ids sha256 {digest(chr(10).join(images))[:_DIGITS]}",
    }


def _how(record: RunRecord, settings: Mapping[str, Any]) -> dict[str, str]:
    """By which rules."""
    others = dict.fromkeys(operator_of(name).lstrip("@") for name in explainers(record))
    operators = [str(settings.get("operator", "")), *(name for name in others if name)]
    target = str(settings.get("target", ""))
    versions = record.environment.packages
    return {
        "operator": ", ".join(dict.fromkeys(name for name in operators if name)),
        "steps": str(settings.get("steps", "")),
        "target": _TARGETS.get(target, target),
        **_RULES.get(str(settings.get("protocol")), {}),
        "random orders": str(settings.get("random_draws", "")),
        **{
            _NAMES.get(key, key.replace("_", " ")): _text(value)
            for key, value in settings.items()
            if key not in _SHOWN
        },
        "seed": str(settings.get("seed", "")),
        "device": f"{record.environment.device}, {record.environment.dtype}",
        "versions": ", ".join(f"{name} {versions[name]}" for name in _PACKAGES if name in versions),
    }


def _cost(record: RunRecord) -> dict[str, str]:
    phase = next((item for item in record.phases if item.name == "explain"), None)
    if phase is None:
        return {}
    return {
        "forward passes": numbers.count(phase.images),
        "time": numbers.duration(phase.seconds),
    }


def _left_out(record: RunRecord) -> dict[str, str]:
    """The explainers that the model or the data cannot do, with the reason."""
    found = record.explaining.get("left_out", {})
    return {"left out": "; ".join(f"{name} ({why})" for name, why in found.items())}


def _spent(item: Mapping[str, float]) -> tuple[str, ...]:
    forwards = item.get("forwards")
    times = (item.get(name) for name in ("seconds", "map_seconds"))
    return (
        numbers.UNDEFINED if forwards is None else numbers.count(round(forwards)),
        *(numbers.UNDEFINED if time is None else numbers.duration(time) for time in times),
    )


def _text(value: Any) -> str:
    """A setting as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
