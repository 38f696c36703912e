"""A stored run becomes a model again: the architecture of its record, filled with its weights."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pandas as pd
import torch

from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, IfamBenchError, UsageError
from ifambench.models.base import Classifier
from ifambench.models.catalog import ModelChoice, build_model, choose_model
from ifambench.models.interventions import remove_parts
from ifambench.models.weights import load_weights, sha256_of
from ifambench.progress import Progress
from ifambench.records.schema import RunRecord
from ifambench.records.store import LoadedRun, load_run
from ifambench.suites.catalog import SuiteFile, load_suite
from ifambench.suites.spec import Suite, protocol_of
from ifambench.train.recipes import Recipe

_REMOVED = re.compile(r"[@,]remove_parts=([0-9+]+)$")
"""What a run without some parts adds to the name of its model."""


@dataclass(frozen=True)
class RunModel:
    """The model of a stored run.

    Attributes:
        model: On the device, in eval mode.
        run: The run it belongs to.
        file: The suite of the run.
        device: Where the model is.
    """

    model: Classifier
    run: LoadedRun
    file: SuiteFile
    device: torch.device

    @property
    def record(self) -> RunRecord:
        """The record of the run."""
        return self.run.record


def load_run_model(
    path: Path,
    device: torch.device | str = "cpu",
    weights: Path | None = None,
    check: Callable[[Classifier], object] | None = None,
) -> RunModel:
    """Build the model of a stored run and give it the weights that were evaluated.

    Args:
        path: The run folder, or a file in it.
        device: Where to put the model.
        weights: The weights file, where it is not in the run folder.
        check: Refuses models that do not fit, before their weights are looked for.

    Raises:
        UsageError: If the run is not complete, or its suite file is gone or has changed.
        EnvironmentProblem: If the weights are missing, damaged or not those of the record.
    """
    run = load_run(path)
    record = run.record
    if record.status != "complete":
        raise UsageError(
            f"the run is {record.status}", where=str(run.folder), next_step=record.command
        )
    file = _suite_of(run)
    choice = choose_model(_REMOVED.sub("", record.model.name))
    scope = protocol_of(file.suite, record.protocol.name)[1].label_scope
    model = build_model(choice, file.suite, _recipe(record).architecture(), scope)
    if check is not None:
        check(model)
    if choice.source is None:
        _fill(model, weights or _home(run, choice) / "weights.safetensors", record)
    else:
        _check_given(choice, record)
    if removed := _REMOVED.search(record.model.name):
        remove_parts(model, map(int, removed[1].split("+")))
    return RunModel(model.to(device).eval(), run, file, torch.device(device))


def evaluated_rows(
    loaded: RunModel, data_dir: Path | None = None, progress: Progress | None = None
) -> tuple[SuiteData, pd.DataFrame]:
    """The data of the evaluated split, and the manifest rows of its unchanged images.

    Args:
        loaded: The model of the run.
        data_dir: Folder that holds the suites' data folders, or None for the default places.
        progress: Told about each image.
    """
    split = loaded.record.protocol.eval_split
    data = split_data(loaded, [split], data_dir, progress)
    return data, data.rows(split)


def split_data(
    loaded: RunModel,
    splits: list[str],
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> SuiteData:
    """Some splits of the run's suite, in the size of the run."""
    return load_data(
        loaded.file.suite,
        loaded.record.suite.size,
        splits=splits,
        progress=progress,
        view=loaded.model.data_config.view(),
        data_dir=data_dir,
    )


def changed_predictions(loaded: RunModel, predictions: pd.DataFrame) -> int:
    """Images that are now classified otherwise than in the stored table.

    Not 0 where another machine or version of torch rounds otherwise.
    """
    key = ["id", "variant"]
    stored = loaded.run.predictions[[*key, "y_pred"]]
    both = predictions[[*key, "y_pred"]].merge(stored, on=key, suffixes=("", "_stored"))
    return int((both["y_pred"] != both["y_pred_stored"]).sum())


def _suite_of(run: LoadedRun) -> SuiteFile:
    """The suite file of the record, by its id or as the run's command names it.

    Another file of the same major version serves, because its numbers are comparable: variants or
    protocols may have been added since.
    """
    wanted = run.record.suite
    named = shlex.split(run.record.command)[2:3]
    found = []
    for name in (wanted.id, *named):
        with contextlib.suppress(IfamBenchError):
            found.append(load_suite(name))
    found.sort(key=lambda file: file.digest != wanted.digest)
    for file in found:
        if file.digest == wanted.digest or _serves(file.suite, run.record):
            return file
    raise UsageError(
        f"the suite file that the run was made with ({wanted.id} {wanted.version}) is not here, "
        "or has changed since",
        where=str(run.folder),
        next_step=f"restore the file, or run again: {run.record.command}",
    )


def _serves(suite: Suite, record: RunRecord) -> bool:
    """Whether a suite is another minor version of the record's.

    Not where the file itself makes the images.
    """
    major = int(record.suite.version.split(".")[0])
    same = (suite.id, suite.major, suite.labels) == (record.suite.id, major, record.labels)
    return same and suite.source is not None and set(record.groups) <= set(suite.groups.names)


def _recipe(record: RunRecord) -> Recipe:
    """The stored recipe; fields that were added later have their defaults."""
    known = {field.name for field in fields(Recipe)}
    return replace(Recipe(), **{k: v for k, v in record.recipe.items() if k in known})


def _home(run: LoadedRun, choice: ModelChoice) -> Path:
    """Where the weights are: a run without some parts has those of the whole model."""
    removed = _REMOVED.search(run.record.model.name)
    if not removed or (run.folder / "weights.safetensors").is_file():
        return run.folder
    protocol, seed = run.folder.parts[-2:]
    return run.folder.parents[2] / choice.folder / protocol / seed


def _fill(model: Classifier, path: Path, record: RunRecord) -> None:
    if not path.is_file():
        raise EnvironmentProblem(
            "the weights of the run are not stored",
            where=str(path),
            next_step=f"name the file with --weights, or repeat the run: {record.command} --fresh",
        )
    if sha256_of(path) != record.model.weights.sha256:
        raise EnvironmentProblem(
            "the weights are not those of the record",
            where=str(path),
            next_step=f"name the right file with --weights, or {record.command} --fresh",
        )
    load_weights(path, model)


def _check_given(choice: ModelChoice, record: RunRecord) -> None:
    """Given weights are read by `build_model`; here it is checked that they are still the same."""
    from ifambench.models.checkpoints import given_sha256

    assert choice.source is not None
    if given_sha256(choice.source) != record.model.weights.sha256:
        raise EnvironmentProblem(
            "the given weights have changed since the run",
            where=choice.source,
            next_step=record.command + " --fresh",
        )
