"""The run record, put together from the plan, the trained model and the stored tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from ifambench import __version__
from ifambench.data.load import AVAILABLE
from ifambench.records.provenance import collect_environment, peak_memory_bytes, utc_now
from ifambench.records.schema import (
    ModelRef,
    Phase,
    Protocol,
    RunRecord,
    SuiteRef,
    Table,
    WeightsRef,
)
from ifambench.train.jtt import recorded_warnings

if TYPE_CHECKING:
    from ifambench.data.manifest import SuiteData
    from ifambench.models.base import Classifier
    from ifambench.models.catalog import ModelChoice
    from ifambench.plan import RunPlan
    from ifambench.suites.spec import Suite
    from ifambench.train.fit import Fitted

_SHOWN = 5
"""Paths that a warning names."""

LabelsNeeded = Literal["none", "val", "train", "train+val", "masks", "unknown"]


def started_record(plan: RunPlan) -> RunRecord:
    """The record of a run that has just begun: what is asked for, nothing measured yet."""
    suite, asked = plan.file.suite, plan.protocol
    groups = suite.groups_in(asked.eval_split)
    is_trained = plan.choice.source is None
    return RunRecord(
        ifambench_version=__version__,
        status="started",
        key=plan.key(),
        suite=SuiteRef(
            id=suite.id,
            version=suite.version,
            digest=plan.file.digest,
            data_digest="",
            size=plan.request.size,
        ),
        model=_model(plan, None, ""),
        protocol=Protocol(
            name=plan.protocol_name,
            train_split=asked.train_split if is_trained else None,
            select_split=asked.select_split if is_trained else None,
            eval_split=asked.eval_split,
            selection=asked.selection if is_trained else "none",
            label_scope=asked.label_scope if suite.imagenet and not is_trained else None,
            primary_metric=asked.primary,
            ranked=asked.ranked,
            metrics=asked.metrics,
            variants=list(asked.variants),
            pair_by=_pair_by(suite, asked.variants),
            explain=plan.explain.protocol(),
        ),
        seed=plan.request.seed,
        recipe=plan.recipe.as_dict() if is_trained else {},
        command=plan.command(),
        labels=list(suite.labels),
        attributes={name: item.values for name, item in suite.attributes.items()},
        groups=list(groups),
        train_shares=None,
        minority=[name for name in suite.groups.minority if name in groups],
        environment=collect_environment(
            _device_name(plan.device), "float32", torch.get_num_threads()
        ),
        warnings=list(plan.warnings),
        started_at=utc_now(),
    )


def _pair_by(suite: Suite, variants: Sequence[str]) -> dict[str, str]:
    """What the backgrounds of the evaluated swap variants go by, where it is not the class."""
    found = {item.id: getattr(item, "pair_by", "y") for item in suite.variant}
    return {name: found[name] for name in variants if found.get(name, "y") != "y"}


def finished_record(
    plan: RunPlan,
    started: RunRecord,
    fitted: Fitted,
    data: SuiteData,
    tables: dict[str, Table],
    phases: list[Phase],
) -> RunRecord:
    """The record but for its metrics: complete, or partial where images were left out."""
    suite = started.suite.model_copy(update={"data_digest": data.digest})
    groups = _groups_there(started, data)
    changes = {
        "status": "partial" if data.skipped else "complete",
        "suite": suite,
        "model": _model(plan, fitted.model, fitted.sha256),
        "groups": groups,
        "minority": [name for name in started.minority if name in groups],
        "train_shares": _train_shares(plan, data, groups),
        "training": _training(fitted),
        "warnings": [
            *started.warnings,
            *data.warnings,
            *_found_warnings(plan, fitted, data),
        ],
        "tables": tables,
        "phases": phases,
        "peak_memory_bytes": peak_memory_bytes(),
        "finished_at": utc_now(),
    }
    return started.model_copy(update=changes)


def _groups_there(started: RunRecord, data: SuiteData) -> list[str]:
    """The groups that are evaluated: of whatever images there are, those that have one."""
    if data.size != AVAILABLE:
        return started.groups
    there = set(data.rows(started.protocol.eval_split)["group"])
    return [name for name in started.groups if name in there]


def _train_shares(plan: RunPlan, data: SuiteData, groups: Sequence[str]) -> list[float] | None:
    shares = data.train_shares(plan.protocol.train_split, groups)
    return None if shares is None else list(shares)


def left_out(paths: Sequence[str]) -> list[str]:
    """The warning about images that could not be read; empty if there are none.

    >>> left_out(["a.jpg", "b.jpg"])
    ['2 images could not be read and were left out: a.jpg, b.jpg']
    """
    if not paths:
        return []
    more = len(paths) - _SHOWN
    listed = ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    what = "1 image could not be read and was" if len(paths) == 1 else None
    return [f"{what or f'{len(paths)} images could not be read and were'} left out: {listed}"]


def _found_warnings(plan: RunPlan, fitted: Fitted, data: SuiteData) -> list[str]:
    found = recorded_warnings(fitted.table, len(data.rows(plan.protocol.train_split)))
    if fitted.trained_on is not None:
        found = [*found, f"the weights were trained on {fitted.trained_on}"]
    return [*found, *left_out(data.skipped)]


def _training(fitted: Fitted) -> dict[str, Any]:
    """What the recipe came to, and the epoch that was kept; empty if no gradient was followed."""
    if fitted.facts is None:
        return {}
    kept = fitted.table.loc[fitted.table["selected"] == 1, "epoch"]
    return fitted.facts.as_dict() | {"selected_epoch": int(kept.iloc[0])}


def _model(plan: RunPlan, model: Classifier | None, sha256: str) -> ModelRef:
    choice, backbone = plan.choice, plan.backbone
    found = {} if model is None else model.describe()
    return ModelRef(
        name=plan.label,
        architecture=choice.entry.name,
        method=choice.method,
        labels_needed=_labels_needed(choice, plan.protocol.selection),
        parameters=found.get("parameters", 0),
        capabilities=found.get("capabilities", []),
        data_config=found.get("data_config", {}),
        patch_grid=found.get("patch_grid"),
        weights=WeightsRef(
            sha256=sha256,
            source=choice.source or "trained here",
            pretrained=None if backbone is None else backbone.name,
            pretrained_sha256=None if backbone is None else backbone.sha256,
        ),
    )


def _labels_needed(choice: ModelChoice, selection: str) -> LabelsNeeded:
    """Selecting the epoch by worst group reads the group labels of the validation split.

    A linear probe has no epochs to select from.
    """
    own = choice.labels_needed
    if selection != "best_val_worst_group_accuracy" or choice.method == "probe":
        return cast(LabelsNeeded, own)
    return cast(LabelsNeeded, {"none": "val", "train": "train+val"}.get(own, own))


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
