"""The run record, put together from the plan, the trained model and the stored tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch

from ifambench import __version__
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

if TYPE_CHECKING:
    from ifambench.data.manifest import SuiteData
    from ifambench.models.base import Classifier
    from ifambench.plan import RunPlan
    from ifambench.train.fit import Fitted

LabelsNeeded = Literal["none", "val", "train", "train+val", "masks", "unknown"]


def started_record(plan: RunPlan) -> RunRecord:
    """The record of a run that has just begun: what is asked for, nothing measured yet."""
    suite, asked = plan.file.suite, plan.protocol
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
            train_split=asked.train_split,
            select_split=asked.select_split,
            eval_split=asked.eval_split,
            selection=asked.selection,
            primary_metric=asked.primary,
            variants=list(asked.variants),
            explain={"protocol": "patch-curve/1", **plan.explain.model_dump(mode="json")},
        ),
        seed=plan.request.seed,
        recipe=plan.recipe.as_dict(),
        command=plan.command(),
        labels=list(suite.labels),
        groups=list(suite.groups.names),
        train_shares=None,
        minority=list(suite.groups.minority),
        environment=collect_environment(
            _device_name(plan.device), "float32", torch.get_num_threads()
        ),
        warnings=list(plan.warnings),
        started_at=utc_now(),
    )


def finished_record(
    plan: RunPlan,
    started: RunRecord,
    fitted: Fitted,
    data: SuiteData,
    tables: dict[str, Table],
    phases: list[Phase],
) -> RunRecord:
    """The complete record, but for its metrics."""
    suite = started.suite.model_copy(update={"data_digest": data.digest})
    changes = {
        "status": "complete",
        "suite": suite,
        "model": _model(plan, fitted.model, fitted.sha256),
        "train_shares": list(data.train_shares(plan.protocol.train_split)),
        "training": {} if fitted.facts is None else fitted.facts.as_dict(),
        "tables": tables,
        "phases": phases,
        "peak_memory_bytes": peak_memory_bytes(),
        "finished_at": utc_now(),
    }
    return started.model_copy(update=changes)


def _model(plan: RunPlan, model: Classifier | None, sha256: str) -> ModelRef:
    choice, backbone = plan.choice, plan.backbone
    found = {} if model is None else model.describe()
    return ModelRef(
        name=plan.label,
        architecture=choice.entry.name,
        method=choice.method,
        labels_needed=_labels_needed(choice.labels_needed, plan.protocol.selection),
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


def _labels_needed(method: str, selection: str) -> LabelsNeeded:
    """Selecting the epoch by worst group reads the group labels of the validation split."""
    reads_groups = selection == "best_val_worst_group_accuracy"
    with_val = {"none": "val", "train": "train+val"}
    return cast(LabelsNeeded, with_val.get(method, method) if reads_groups else method)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
