"""The whole flow: train or load, predict, explain, score, record, report.

Every phase can be repeated and leaves its result on the disk, so a killed run goes on where it
was: training at its last epoch, predictions and explanations at their last chunk. The record says
`complete` only when everything is written.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch

from ifambench.assemble import finished_record, started_record
from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.errors import CheckFailed, EnvironmentProblem, RunInterrupted, UsageError
from ifambench.explain.base import default_explainers
from ifambench.explain.measure import ExplainResult, ExplainSettings, choose_images, explain_rows
from ifambench.gallery import gallery_of
from ifambench.metrics.base import MetricRow, Tables
from ifambench.metrics.score import context_of, score_tables
from ifambench.plan import RunPlan, RunRequest, make_plan
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from ifambench.records.key import digest
from ifambench.records.lock import run_lock
from ifambench.records.schema import Metric, Phase, RunRecord
from ifambench.records.store import (
    LoadedRun,
    load_run,
    read_record,
    write_bytes_atomic,
    write_record,
    write_table,
    write_text_atomic,
)
from ifambench.reports.write import write_reports
from ifambench.train.fit import FitPlan, Fitted, fit

__all__ = ["RunRequest", "rescore", "run", "train"]


@dataclass
class Clock:
    """Seconds and images per phase, added up over resumed parts of a run.

    Attributes:
        path: Where the sums of an unfinished run are kept.
        phases: Seconds and images by phase.
    """

    path: Path
    phases: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            self.phases = json.loads(self.path.read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def phase(self, name: str, images: int = 0) -> Iterator[None]:
        """Time a block; an interrupted block counts its seconds but no images."""
        sums = self.phases.setdefault(name, [0.0, 0.0])
        started = time.perf_counter()
        try:
            yield
            sums[1] += images
        finally:
            sums[0] += time.perf_counter() - started
            write_text_atomic(self.path, json.dumps(self.phases))

    def rows(self) -> list[Phase]:
        """The phases of the record."""
        return [
            Phase(
                name=name,
                seconds=round(seconds, 3),
                images=int(images),
                images_per_second=round(images / seconds, 1) if images and seconds else None,
            )
            for name, (seconds, images) in self.phases.items()
        ]


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


def rescore(folder: Path, check: bool) -> RunRecord:
    """Compute every metric again from the stored tables.

    Args:
        folder: The run folder.
        check: Compare with the record instead of writing it.

    Raises:
        CheckFailed: If `check` and a metric differs; names each.
    """
    stored = load_run(folder)
    rows = score_tables(Tables(stored.predictions, stored.explanations), context_of(stored.record))
    metrics = [_metric(row) for row in rows]
    differing = _differences(stored.record.metrics, metrics)
    if check and differing:
        raise CheckFailed(
            f"{len(differing)} metrics differ from the stored tables: {', '.join(differing[:8])}",
            where=str(stored.folder / "run.json"),
            next_step=f"ifambench score {stored.folder}",
        )
    record = stored.record.model_copy(update={"metrics": metrics})
    if not check:
        write_record(stored.folder, record)
    return record


def _work(plan: RunPlan, progress: Progress) -> None:
    """All phases of a run."""
    folder, request = plan.folder, plan.request
    device = _device(request)
    record = started_record(plan, device)
    write_record(folder, record)
    clock = Clock(folder / "work" / "phases.json")
    with clock.phase("data"):
        data = load_data(plan.file.suite, request.size, progress=progress)
    with clock.phase("train", len(data.rows(plan.protocol.train_split or "train"))):
        fitted = _fit(plan, data, progress)
    names = _explainers(plan, fitted)
    rows = _evaluated_rows(plan, data)
    key = digest([plan.key(), data.digest, fitted.sha256])
    with clock.phase("predict", len(rows)):
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
    clock.phases["explain"][1] = explained.n_forwards
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
    metrics = [_metric(row) for row in score_tables(stored, context_of(record))]
    write_record(folder, record.model_copy(update={"metrics": metrics}))
    write_reports(folder)


def _metric(row: MetricRow) -> Metric:
    return Metric(**asdict(row))


def _differences(old: list[Metric], new: list[Metric]) -> list[str]:
    """Names of the metrics that are missing, added or unequal (to 1e-9)."""
    before, after = ({_name(m): m for m in metrics} for metrics in (old, new))
    names = sorted(before.keys() | after.keys())
    return [n for n in names if not _same(before.get(n), after.get(n))]


def _name(metric: Metric) -> str:
    return "/".join((metric.metric, metric.variant, metric.group, metric.explainer or "-"))


def _same(a: Metric | None, b: Metric | None) -> bool:
    if a is None or b is None:
        return False
    return a.n == b.n and all(
        x == y or (x is not None and y is not None and abs(x - y) <= 1e-9)
        for x, y in ((a.value, b.value), (a.ci_low, b.ci_low), (a.ci_high, b.ci_high))
    )


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
