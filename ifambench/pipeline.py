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
from ifambench.gallery import gallery_of
from ifambench.measuring import Measured, Subject, measure
from ifambench.metrics.base import Tables
from ifambench.models.interventions import remove_parts
from ifambench.plan import RunPlan, make_plan
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from ifambench.records.clock import Clock
from ifambench.records.key import digest
from ifambench.records.lock import run_lock
from ifambench.records.schema import Phase, RunRecord
from ifambench.records.store import (
    LoadedRun,
    load_run,
    read_record,
    read_table,
    write_bytes_atomic,
    write_record,
    write_table,
)
from ifambench.reports.training_picture import write_training_picture
from ifambench.reports.write import write_reports
from ifambench.request import RunRequest
from ifambench.rescore import scored
from ifambench.reuse import Stored, stored_run
from ifambench.train.crew import Crew
from ifambench.train.fit import FitPlan, Fitted, fit
from ifambench.train.fit import follow as follow_fit
from ifambench.train.team import find_team

__all__ = ["RunRequest", "follow", "follows", "make_plan", "run", "train"]

_OF_EXPLANATIONS = ("sanity.csv.gz", "battery.csv.gz", "selections.csv.gz")
"""Tables that only some requests make."""
_REPORTS = ("report.md", "report.html")
_RUN_FILES = (
    *("run.json", "predictions.csv.gz", "explanations.csv.gz", "curves.csv", "training.csv"),
    *("pairing.csv.gz", "training.png", "weights.safetensors", "gallery.npz"),
    *_OF_EXPLANATIONS,
    *_REPORTS,
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
        stored = stored_run(plan)
        if stored is not None and stored.same:
            progress.message(f"complete already, reused: {plan.folder} (--fresh repeats it)")
        else:
            with _resumable(plan, "run"):
                _work(plan, progress, crew, stored)
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
        if stored_run(plan) is None:
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


def _work(plan: RunPlan, progress: Progress, crew: Crew, stored: Stored | None) -> None:
    """All phases of a run.

    A stored run that only lacks these explanations stays as it is until they are measured: whoever
    stops meanwhile still has it.
    """
    folder, request = plan.folder, plan.request
    record = started_record(plan)
    if stored is None:
        write_record(folder, record)
    _tell(plan, stored, progress)
    clock = Clock(folder / "work" / "phases.json")
    with clock.phase("data"):
        data = _load(plan, progress)
    if stored is not None:
        stored.check_data(plan, data)
    rows = _evaluated_rows(plan, data)
    with clock.phase("train"):
        fitted = _fit(plan, data, progress, crew)
    if request.remove_parts:
        remove_parts(fitted.model, request.remove_parts)
    key = digest([plan.key() | {"explain": ""}, data.digest, fitted.sha256])
    with clock.phase("predict"):
        predictions = _predict(plan, fitted, data, rows, key, progress, stored)
    subject = Subject(fitted.model, data, predictions, key)
    measured = measure(plan, subject, folder / "work", clock, progress)
    images = len(data.rows(plan.protocol.train_split))
    clock.count("train", 0 if fitted.reused else _fit_plan(plan).images_seen(images))
    clock.count("predict", len(rows))
    phases = clock.rows() if stored is None else stored.phases(clock.rows())
    _store(plan, record, fitted, data, predictions, measured, phases)


def _tell(plan: RunPlan, stored: Stored | None, progress: Progress) -> None:
    """What the user should know before the work."""
    if stored is not None:
        progress.message(
            f"trained already: the weights and predictions of {plan.folder} are kept, what is "
            "explained is measured anew and replaces what was"
        )
    reasons: dict[str, list[str]] = {}
    for name, reason in plan.explain.left_out.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        progress.message(f"left out: {', '.join(names)} ({reason})")


def _predict(
    plan: RunPlan,
    fitted: Fitted,
    data: SuiteData,
    rows: pd.DataFrame,
    key: str,
    progress: Progress,
    stored: Stored | None,
) -> pd.DataFrame:
    if stored is not None:
        return stored.run.predictions
    return predict(
        fitted.model,
        data,
        rows,
        batch_size=plan.request.images_at_once,
        device=plan.device,
        journal=Journal(plan.folder / "work" / "predictions.jsonl", key),
        progress=progress,
    )


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


def _store(
    plan: RunPlan,
    record: RunRecord,
    fitted: Fitted,
    data: SuiteData,
    predictions: pd.DataFrame,
    measured: Measured,
    phases: list[Phase],
) -> None:
    """Write tables and record; the record turns `complete` last, and is `started` meanwhile."""
    folder = plan.folder
    write_record(folder, record)
    for name in (*_OF_EXPLANATIONS, *_REPORTS):
        (folder / name).unlink(missing_ok=True)
    kept = {"predictions": predictions, **measured.tables}
    tables = {name: write_table(folder / f"{name}.csv.gz", kept[name]) for name in kept}
    tables["curves"] = write_table(folder / "curves.csv", measured.explained.curves)
    tables["training"] = write_table(folder / "training.csv", fitted.table)
    if data.tables:
        tables["pairing"] = write_table(folder / "pairing.csv.gz", _pairing(data))
    write_bytes_atomic(folder / "gallery.npz", gallery_of(data, predictions, measured.explained))
    record = finished_record(plan, record, fitted, data, tables, phases)
    record = record.model_copy(update={"explaining": measured.facts(plan)})
    # scored as `ifambench score` will do it: from the files
    read = {name: read_table(folder / tables[name].file, tables[name]) for name in kept}
    metrics = scored(Tables(**read), record)
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
