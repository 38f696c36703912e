"""The tables that say how a run was made: protocol, recipe, provenance, cost."""

from __future__ import annotations

import json
from typing import Any

from ifambench.records.schema import RunRecord
from ifambench.reports import numbers
from ifambench.reports.section import ALWAYS, Column, Section

_LABELS_NEEDED = {
    "none": "class labels only",
    "val": "group labels of the validation split",
    "train": "group labels of the training split",
    "train+val": "group labels of the training and validation splits",
    "masks": "true object masks",
    "unknown": "labels that the weights do not tell of",
}


def protocol_section(record: RunRecord) -> Section:
    """What was trained, selected and evaluated, and how."""
    suite, model, protocol = record.suite, record.model, record.protocol
    return _pairs(
        "protocol",
        "Protocol",
        {
            "suite": f"{suite.id} {suite.version}, size {suite.size}",
            "model": f"{model.name} ({model.architecture}, {numbers.count(model.parameters)} "
            "parameters)",
            "training method": f"{model.method}; needs {_LABELS_NEEDED[model.labels_needed]}",
            "weights": model.weights.source,
            "pretrained": model.weights.pretrained or "no",
            "protocol": protocol.name,
            "splits": _splits(record),
            "selection": protocol.selection.replace("_", " "),
            "primary metric": protocol.primary_metric,
            "variants": ", ".join(protocol.variants),
            **({"training": _compact(record.training)} if record.training else {}),
            "explanations": _compact(protocol.explain) if protocol.explain else "none",
            "input": _compact(model.data_config),
            "seed": str(record.seed),
        },
    )


def recipe_section(record: RunRecord) -> Section:
    """Every setting of the training recipe; no rows when nothing was trained."""
    return _pairs("recipe", "Training recipe", {k: _compact(v) for k, v in record.recipe.items()})


def provenance_section(record: RunRecord) -> Section:
    """Software, machine, source and digests."""
    environment, weights = record.environment, record.model.weights
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return _pairs(
        "provenance",
        "Provenance",
        {
            "ifambench": f"{record.ifambench_version}{_commit(record)}",
            "device": f"{environment.device}, {environment.dtype}, {environment.threads} threads",
            "python": environment.python,
            "platform": environment.platform,
            "packages": packages or numbers.UNDEFINED,
            "suite file (sha256)": record.suite.digest,
            "data (sha256)": record.suite.data_digest,
            "weights (sha256)": weights.sha256,
            "started": record.started_at,
            "finished": record.finished_at or "not finished",
        },
    )


_IN_PASSES = ("explain", "battery")
"""Phases whose work is counted in forward passes."""


def cost_section(record: RunRecord) -> Section:
    """Time and throughput of each phase, and the peak memory."""
    phases = [
        (
            phase.name,
            numbers.duration(phase.seconds),
            numbers.count(phase.images),
            _rate(phase.images_per_second),
        )
        for phase in record.phases
    ]
    total = numbers.duration(sum(phase.seconds for phase in record.phases))
    memory = record.peak_memory_bytes
    passes = [item.name for item in record.phases if item.name in _IN_PASSES and item.images]
    counted = f"Images of {' and '.join(passes)} are forward passes."
    notes = (
        f"Total {total}.",
        f"Peak memory {numbers.size(memory)}." if memory else "",
        counted if passes else "",
    )
    return Section(
        "cost",
        "Cost",
        (
            Column("phase", "left", ALWAYS),
            Column("time", priority=ALWAYS),
            Column("images", priority=7),
            Column("images/s", priority=6),
        ),
        tuple(phases),
        tuple(note for note in notes if note),
    )


def _pairs(key: str, title: str, content: dict[str, str]) -> Section:
    columns = (Column("item", "left", ALWAYS), Column("value", "left", ALWAYS))
    return Section(key, title, columns, tuple(content.items()))


def _splits(record: RunRecord) -> str:
    protocol = record.protocol
    parts = [
        f"trained on {protocol.train_split}" if protocol.train_split else "not trained",
        f"selected on {protocol.select_split}" if protocol.select_split else "",
        f"evaluated on {protocol.eval_split}",
    ]
    return ", ".join(part for part in parts if part)


def _commit(record: RunRecord) -> str:
    commit = record.environment.git_commit
    if commit is None:
        return ""
    return f", commit {commit[:12]}" + (" with changes" if record.environment.git_dirty else "")


def _compact(value: Any) -> str:
    """Settings as short text: `steps 10, operator mean`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_compact(item)}" for name, item in value.items())
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _rate(images_per_second: float | None) -> str:
    if images_per_second is None:
        return numbers.UNDEFINED
    return f"{images_per_second:,.{1 if images_per_second < 10 else 0}f}"
