"""The whole flow: train or load, predict, explain, score, record, report.

Every phase can be repeated and leaves its result on the disk, so a killed run goes on where it
was: training at its last epoch, predictions and explanations at their last chunk. The record says
`complete` only when everything is written.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ifambench.assemble import finished_record, started_record
from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.data.swap.pairing import joined_tables
from ifambench.errors import EnvironmentProblem, RunInterrupted, UsageError
from ifambench.explain.measure import (
    ExplainResult,
    ExplainSettings,
    choose_images,
    explain_rows,
    nothing_explained,
)
from ifambench.gallery import gallery_of
from ifambench.metrics.base import Tables
from ifambench.models.interventions import remove_parts
from ifambench.models.weights import sha256_of
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
from ifambench.reports.training_picture import write_training_picture
from ifambench.reports.write import write_reports
from ifambench.rescore import scored
from ifambench.train.crew import Crew
from ifambench.train.fit import FitPlan, Fitted, fit
from ifambench.train.fit import follow as follow_fit
from ifambench.train.team import find_team

__all__ = ["RunRequest", "follow", "follows", "make_plan", "run", "train"]

_RUN_FILES = (
    *("run.json", "predictions.csv.gz", "explanations.csv.gz", "curves.csv", "training.csv"),
    "pairing.csv.gz",
    "training.png",
    *("weights.safetensors", "gallery.npz", "report.md", "report.html"),
)


def run(request: RunRequest, progress: Progress) -> LoadedRun:
    """Do everything that is asked, or reuse what is there.

    Raises:
        UsageError: If the request is not valid, or a stored run differs from it.
        EnvironmentProblem: If data or weights are damaged, or another process works on the run.
        RunInterrupted: If the user stops it; the same command goes on.
    """
    plan = make_plan(request)
    crew = _crew(plan)
    with crew.led(plan.device), run_lock(plan.folder):
        if request.fresh:
            _forget(plan.folder)
        if _is_done(plan):
            progress.message(f"complete already, reused: {plan.folder} (--fresh repeats it)")
        else:
            with _resumable(plan, "run"):
                _work(plan, progress, crew)
        _finish(plan.folder)
        return load_run(plan.folder)


def train(request: RunRequest, progress: Progress) -> Path:
    """Only the training part of `run`; returns the weights file.

    Raises:
        UsageError: As `run`; also for given weights, and when the folder holds a complete run
            without its weights.
    """
    plan = make_plan(request)
    if plan.choice.source is not None:
        raise UsageError(
            f"{plan.choice.label} has its weights: nothing is trained", next_step=plan.command()
        )
    path = plan.folder / "weights.safetensors"
    crew = _crew(plan)
    with crew.led(plan.device), run_lock(plan.folder):
        if request.fresh:
            _forget(plan.folder)
        if not _is_done(plan):
            with _resumable(plan, "train"):
                data = _load(plan, progress)
                _fit(plan, data, progress, crew)
            write_training_picture(plan.folder)
        elif not path.is_file():
            raise UsageError(
                "the run is complete, but its weights are not stored",
                where=str(path),
                next_step=plan.command("train", "--fresh"),
            )
    return path


def follow(request: RunRequest) -> None:
    """The part of a further process in a run that several train: it trains along, no more.

    Raises:
        EnvironmentProblem: If the first process ends meanwhile.
    """
    plan = make_plan(request)
    data = _load(plan, Progress())
    device = plan.team.place(plan.device)
    follow_fit(_fit_plan(plan), data, device, _crew(plan))


def follows(request: RunRequest) -> bool:
    """Whether this process is one that follows another, see `follow`."""
    return find_team(request.devices, request.num_nodes).follows


def _crew(plan: RunPlan) -> Crew:
    command = shlex.split(plan.command("train"))[1:]
    return Crew(plan.team, command, plan.folder / "work")


def _work(plan: RunPlan, progress: Progress, crew: Crew) -> None:
    """All phases of a run."""
    folder, request = plan.folder, plan.request
    record = started_record(plan)
    write_record(folder, record)
    clock = Clock(folder / "work" / "phases.json")
    with clock.phase("data"):
        data = _load(plan, progress)
    rows = _evaluated_rows(plan, data)
    with clock.phase("train"):
        fitted = _fit(plan, data, progress, crew)
    if request.remove_parts:
        remove_parts(fitted.model, request.remove_parts)
    key = digest([plan.key(), data.digest, fitted.sha256])
    with clock.phase("predict"):
        journal = Journal(folder / "work" / "predictions.jsonl", key)
        predictions = predict(
            fitted.model,
            data,
            rows,
            batch_size=request.batch_size,
            device=plan.device,
            journal=journal,
            progress=progress,
        )
    with clock.phase("explain"):
        journal = Journal(folder / "work" / "explanations.jsonl", key)
        explained = _explain(plan, fitted, data, predictions, journal, progress)
    images = len(data.rows(plan.protocol.train_split))
    trained = 0 if fitted.reused else _fit_plan(plan).images_seen(images)
    for name, count in (
        ("train", trained),
        ("predict", len(rows)),
        ("explain", explained.n_forwards),
    ):
        clock.count(name, count)
    _store(plan, record, fitted, data, predictions, explained, clock)


def _load(plan: RunPlan, progress: Progress) -> SuiteData:
    asked = plan.request
    return load_data(
        plan.file.suite,
        asked.size,
        progress=progress,
        view=plan.view,
        data_dir=asked.data_dir,
        variants=plan.protocol.variants,
        on_bad="skip" if asked.skip_bad_images else "error",
    )


def _fit(plan: RunPlan, data: SuiteData, progress: Progress, crew: Crew) -> Fitted:
    """Train or load; with parts removed the whole model is trained, in its own folder."""
    device, wanted, siblings = plan.team.place(plan.device), _fit_plan(plan), plan.sibling
    if not plan.request.remove_parts:
        return fit(wanted, data, plan.folder, device, progress, folder_of=siblings, crew=crew)
    whole = plan.sibling(plan.choice.label)
    with run_lock(whole):
        return fit(wanted, data, whole, device, progress, folder_of=siblings, crew=crew)


def _fit_plan(plan: RunPlan) -> FitPlan:
    return FitPlan(
        plan.choice, plan.recipe, plan.protocol, plan.backbone, plan.request.seed, plan.compute
    )


def _evaluated_rows(plan: RunPlan, data: SuiteData) -> pd.DataFrame:
    split = plan.protocol.eval_split
    parts = {name: data.rows(split, name) for name in plan.protocol.variants}
    empty = next((name for name, rows in parts.items() if rows.empty), None)
    if empty is not None:
        raise EnvironmentProblem(
            f'no image of the split "{split}" has the variant "{empty}"',
            where=f"--size {data.size}",
            next_step="get the missing images, or choose a protocol without it",
        )
    return pd.concat(parts.values(), ignore_index=True)


def _explain(
    plan: RunPlan,
    fitted: Fitted,
    data: SuiteData,
    predictions: pd.DataFrame,
    journal: Journal,
    progress: Progress,
) -> ExplainResult:
    asked = plan.explain
    if asked.images == 0:
        return nothing_explained()
    rows = choose_images(
        data.rows(plan.protocol.eval_split), asked.images, data.suite.groups.names, asked.seed
    )
    settings = ExplainSettings(
        steps=asked.steps,
        random_draws=asked.random_draws,
        seed=asked.seed,
        batch_size=plan.request.batch_size,
        device=plan.device,
        operator=asked.operator,
    )
    return explain_rows(
        fitted.model, data, rows, predictions, plan.explainers, settings, journal, progress
    )


def _store(
    plan: RunPlan,
    record: RunRecord,
    fitted: Fitted,
    data: SuiteData,
    predictions: pd.DataFrame,
    explained: ExplainResult,
    clock: Clock,
) -> None:
    """Write tables and record; the record turns `complete` last."""
    folder = plan.folder
    tables = {
        "predictions": write_table(folder / "predictions.csv.gz", predictions),
        "explanations": write_table(folder / "explanations.csv.gz", explained.explanations),
        "curves": write_table(folder / "curves.csv", explained.curves),
        "training": write_table(folder / "training.csv", fitted.table),
    }
    if data.tables:
        tables["pairing"] = write_table(folder / "pairing.csv.gz", _pairing(data))
    write_bytes_atomic(folder / "gallery.npz", gallery_of(data, predictions, explained))
    record = finished_record(plan, record, fitted, data, tables, clock.rows())
    stored = Tables(predictions, explained.explanations)
    metrics = scored(stored, record)
    write_record(folder, record.model_copy(update={"metrics": metrics}))


def _pairing(data: SuiteData) -> pd.DataFrame:
    """Which background each object got, of all swaps, as text that is stored as it is."""
    text = joined_tables(data.tables.values())
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def _finish(folder: Path) -> None:
    """What comes after the record is complete: the reports, and the end of the work folder."""
    if not (folder / "report.html").is_file():
        write_reports(folder)
        write_training_picture(folder)
    shutil.rmtree(folder / "work", ignore_errors=True)


def _is_done(plan: RunPlan) -> bool:
    """Whether the folder holds this very run, complete and undamaged.

    Raises:
        UsageError: If it holds a complete run that differs; names what differs.
        EnvironmentProblem: If a stored file is damaged.
    """
    folder = plan.folder
    if not (folder / "run.json").is_file():
        return False
    anew = plan.command("run", "--fresh")
    try:
        if not _is_usable(plan, read_record(folder).status):
            return False
        record = load_run(folder).record
        weights = folder / "weights.safetensors"
        if weights.is_file() and sha256_of(weights) != record.model.weights.sha256:
            raise EnvironmentProblem("the weights are not those of the record", where=str(weights))
    except EnvironmentProblem as error:
        raise EnvironmentProblem(error.what, where=error.where, next_step=anew) from error
    key = plan.key()
    differing = [name for name in key if record.key.get(name) != key[name]]
    if not differing:
        return True
    raise UsageError(
        f"a complete run with another {' and '.join(differing)} is there",
        where=str(folder),
        next_step=f"{anew} (replaces it), or another --output",
    )


def _is_usable(plan: RunPlan, status: str) -> bool:
    """Whether a stored run of that status may be what is asked for."""
    return status == "complete" or (status == "partial" and plan.request.skip_bad_images)


def _forget(folder: Path) -> None:
    """Remove what a former run left, but not foreign files."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _resumable(plan: RunPlan, verb: str) -> Iterator[None]:
    """Ctrl-C leaves a record that says `interrupted`, and the command that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if (plan.folder / "run.json").is_file():
            record = read_record(plan.folder)
            if record.status == "started":
                write_record(plan.folder, record.model_copy(update={"status": "interrupted"}))
        raise RunInterrupted(
            f"interrupted; finished parts are kept in {plan.folder}", next_step=plan.command(verb)
        ) from None
