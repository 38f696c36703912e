"""The whole flow: train or load, predict, explain, score, record, report.

Every phase can be repeated and leaves its result on the disk, so a killed run goes on where it
was: training at its last epoch, predictions and explanations at their last chunk. The record says
`complete` only when everything is written.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ifambench.assemble import started_record
from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, RunInterrupted, UsageError
from ifambench.measuring import Subject, measure
from ifambench.models.interventions import remove_parts
from ifambench.plan import RunPlan, make_plan
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from ifambench.records.clock import Clock
from ifambench.records.key import digest
from ifambench.records.lock import run_lock
from ifambench.records.store import (
    LoadedRun,
    load_run,
    read_record,
    write_record,
)
from ifambench.reports.training_picture import write_training_picture
from ifambench.request import RunRequest
from ifambench.reuse import Stored, stored_run
from ifambench.storing import finish, forget, store
from ifambench.train.crew import Crew
from ifambench.train.fit import FitPlan, Fitted, fit
from ifambench.train.fit import follow as follow_fit
from ifambench.train.team import find_team

__all__ = ["RunRequest", "follow", "follows", "make_plan", "run", "train"]


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
            forget(plan.folder)
        stored = stored_run(plan)
        if stored is not None and stored.same:
            progress.message(f"complete already, reused: {plan.folder} (--fresh repeats it)")
        else:
            with _resumable(plan, "run"):
                _work(plan, progress, crew, stored)
        finish(plan.folder)
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
            forget(plan.folder)
        if stored_run(plan, "train") is None:
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
    store(plan, record, fitted, data, predictions, measured, phases)


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
