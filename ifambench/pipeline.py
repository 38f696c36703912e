"""The whole flow: train or load, predict, explain, score, record, report.

Every phase can be repeated and leaves its result on the disk, so a killed run goes on where it
was: training at its last epoch, predictions and explanations at their last chunk. The record says
`complete` only when everything is written.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from ifambench.assemble import finished_record, started_record
from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, RunInterrupted, UsageError
from ifambench.explain.base import default_explainers
from ifambench.explain.measure import ExplainResult, ExplainSettings, choose_images, explain_rows
from ifambench.gallery import gallery_of
from ifambench.metrics.base import Tables
from ifambench.plan import RunPlan, RunRequest, make_plan
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from ifambench.records.clock import Clock
from ifambench.records.key import digest
from ifambench.records.lock import run_lock
from ifambench.records.schema import RunRecord
from ifambench.records.store import (
    LoadedRun,
    load_run,
    read_record,
    write_bytes_atomic,
    write_record,
    write_table,
)
from ifambench.reports.write import write_reports
from ifambench.rescore import scored
from ifambench.train.fit import FitPlan, Fitted, fit

__all__ = ["RunRequest", "make_plan", "run", "train"]


def run(request: RunRequest, progress: Progress) -> LoadedRun:
    """Do everything that is asked, or reuse what is there.

    Raises:
        UsageError: If the request is not valid, or a stored run differs from it.
        EnvironmentProblem: If data or weights are damaged, or another process works on the run.
        RunInterrupted: If the user stops it; the same command goes on.
    """
    plan = make_plan(request)
    with run_lock(plan.folder):
        if request.fresh:
            _forget(plan.folder)
        if _is_done(plan):
            progress.message(f"complete already, reused: {plan.folder} (--fresh repeats it)")
            if not (plan.folder / "report.html").is_file():
                write_reports(plan.folder)
            return load_run(plan.folder)
        with _resumable(plan):
            _work(plan, progress)
        return load_run(plan.folder)


def train(request: RunRequest, progress: Progress) -> Path:
    """Only the training part of `run`; returns the weights file."""
    plan = make_plan(request)
    with run_lock(plan.folder):
        if request.fresh:
            _forget(plan.folder)
        try:
            data = load_data(plan.file.suite, request.size, progress=progress)
            _fit(plan, data, progress)
        except KeyboardInterrupt:
            raise _interrupted(plan, "train") from None
        finally:
            progress.close()
    return plan.folder / "weights.safetensors"


def _work(plan: RunPlan, progress: Progress) -> None:
    """All phases of a run."""
    folder, request = plan.folder, plan.request
    device = _device(request)
    record = started_record(plan, device)
    write_record(folder, record)
    clock = Clock(folder / "work" / "phases.json")
    with clock.phase("data"):
        data = load_data(plan.file.suite, request.size, progress=progress)
    with clock.phase("train"):
        fitted = _fit(plan, data, progress)
    names = _explainers(plan, fitted)
    rows = _evaluated_rows(plan, data)
    key = digest([plan.key(), data.digest, fitted.sha256])
    with clock.phase("predict"):
        journal = Journal(folder / "work" / "predictions.jsonl", key)
        predictions = predict(
            fitted.model,
            data,
            rows,
            batch_size=request.batch_size,
            device=device,
            journal=journal,
            progress=progress,
        )
    with clock.phase("explain"):
        journal = Journal(folder / "work" / "explanations.jsonl", key)
        explained = _explain(plan, fitted, data, predictions, names, device, journal, progress)
    epochs, images = len(fitted.table), len(data.rows(plan.protocol.train_split or "train"))
    for name, count in (
        ("train", epochs * images),
        ("predict", len(rows)),
        ("explain", explained.n_forwards),
    ):
        clock.count(name, count)
    _store(plan, record, fitted, data, predictions, explained, clock)
    shutil.rmtree(folder / "work", ignore_errors=True)


def _fit(plan: RunPlan, data: SuiteData, progress: Progress) -> Fitted:
    seed = plan.request.seed
    wanted = FitPlan(plan.choice, plan.recipe, plan.protocol, plan.backbone, seed)
    return fit(wanted, data, plan.folder, _device(plan.request), progress)


def _explainers(plan: RunPlan, fitted: Fitted) -> list[str]:
    return list(plan.request.explainers) or default_explainers(fitted.model)


def _evaluated_rows(plan: RunPlan, data: SuiteData) -> pd.DataFrame:
    parts = [data.rows(plan.protocol.eval_split, variant) for variant in plan.protocol.variants]
    return pd.concat(parts, ignore_index=True)


def _explain(
    plan: RunPlan,
    fitted: Fitted,
    data: SuiteData,
    predictions: pd.DataFrame,
    names: list[str],
    device: torch.device,
    journal: Journal,
    progress: Progress,
) -> ExplainResult:
    asked = plan.explain
    rows = choose_images(
        data.rows(plan.protocol.eval_split), asked.images, data.suite.groups.names, asked.seed
    )
    settings = ExplainSettings(
        steps=asked.steps,
        random_draws=asked.random_draws,
        seed=asked.seed,
        batch_size=plan.request.batch_size,
        device=device,
        operator=asked.operator,
    )
    return explain_rows(fitted.model, data, rows, predictions, names, settings, journal, progress)


def _store(
    plan: RunPlan,
    record: RunRecord,
    fitted: Fitted,
    data: SuiteData,
    predictions: pd.DataFrame,
    explained: ExplainResult,
    clock: Clock,
) -> None:
    """Write tables, record and reports; the record turns `complete` last."""
    folder = plan.folder
    tables = {
        "predictions": write_table(folder / "predictions.csv.gz", predictions),
        "explanations": write_table(folder / "explanations.csv.gz", explained.explanations),
        "curves": write_table(folder / "curves.csv", explained.curves),
        "training": write_table(folder / "training.csv", fitted.table),
    }
    write_bytes_atomic(folder / "gallery.npz", gallery_of(data, predictions, explained))
    record = finished_record(plan, record, fitted, data, tables, clock.rows())
    stored = Tables(predictions, explained.explanations)
    metrics = scored(stored, record)
    write_record(folder, record.model_copy(update={"metrics": metrics}))
    write_reports(folder)


def _device(request: RunRequest) -> torch.device:
    if request.threads:
        torch.set_num_threads(request.threads)
    if request.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(request.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem(
            f'device "{request.device}" is not available', next_step="ifambench doctor"
        )
    return device


def _is_done(plan: RunPlan) -> bool:
    """Whether the folder holds this very run, complete.

    Raises:
        UsageError: If it holds a complete run that differs; names what differs.
    """
    if not (plan.folder / "run.json").is_file():
        return False
    record = read_record(plan.folder)
    if record.status != "complete":
        return False
    key = plan.key()
    differing = [name for name in key if record.key.get(name) != key[name]]
    if not differing:
        return True
    raise UsageError(
        f"a complete run with another {' and '.join(differing)} is there",
        where=str(plan.folder),
        next_step=f"{plan.command()} --fresh (replaces it), or another --output",
    )


def _forget(folder: Path) -> None:
    """Remove what a former run left, but not foreign files."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    for name in ("run.json", "weights.safetensors", "training.csv"):
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _resumable(plan: RunPlan) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        record = read_record(plan.folder)
        write_record(plan.folder, record.model_copy(update={"status": "interrupted"}))
        raise _interrupted(plan, "run") from None


def _interrupted(plan: RunPlan, verb: str) -> RunInterrupted:
    return RunInterrupted(
        f"interrupted; finished parts are kept in {plan.folder}",
        next_step=plan.command().replace("ifambench run", f"ifambench {verb}", 1),
    )
