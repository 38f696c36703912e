"""From a model name to trained weights: train or take over, save; reuse what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ifambench.atomic import write_text_atomic
from ifambench.data.manifest import SuiteData
from ifambench.models.base import Classifier
from ifambench.models.catalog import build_model
from ifambench.models.checkpoints import given_sha256
from ifambench.models.timm_vit import TimmVit
from ifambench.models.weights import load_weights, made_by, save_weights
from ifambench.progress import Progress
from ifambench.records.lock import run_lock
from ifambench.records.record import RECORD_FILE, read_record
from ifambench.train.crew import Crew
from ifambench.train.dfr import refit_last_layer
from ifambench.train.facts import TrainingFacts, training_facts
from ifambench.train.fit_plan import FitPlan
from ifambench.train.probe import probe
from ifambench.train.team import Team
from ifambench.train.training import Workplace, built, noted, start_from, train_by_gradient

__all__ = ["FitPlan", "Fitted", "fit", "follow", "start_from"]

FolderOf = Callable[[str], Path]
"""From a model's label to the run folder of the same request for that model."""


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: On the device, in eval mode.
        sha256: sha256 of the weights file.
        table: The training table, one row per epoch; empty for given weights.
        reused: Whether the weights were there already.
        facts: What the recipe came to; None where nothing was trained by gradient.
        trained_on: Device, processes and threads, where they are not those of now.
    """

    model: Classifier
    sha256: str
    table: pd.DataFrame
    reused: bool
    facts: TrainingFacts | None = None
    trained_on: str | None = None


@dataclass(frozen=True)
class _Bench:
    """What all steps of a fit share."""

    data: SuiteData
    device: torch.device
    progress: Progress
    crew: Crew
    folder_of: FolderOf | None

    def at(self, folder: Path) -> Workplace:
        return Workplace(self.data, self.device, folder / "work", self.progress)


def fit(
    plan: FitPlan,
    data: SuiteData,
    folder: Path,
    device: torch.device,
    progress: Progress,
    *,
    folder_of: FolderOf | None = None,
    crew: Crew | None = None,
) -> Fitted:
    """Train the model, or load what an earlier call with the same plan has trained.

    Writes `weights.safetensors` and `training.csv` into `folder`, checkpoints into `folder/work`.
    A model that takes over the weights of another one (`FitPlan.base`) takes them from that one's
    run folder, where they are trained first if they are not there.

    Args:
        plan: What to train.
        data: On what.
        folder: The run folder; the caller holds its lock.
        device: Where.
        progress: Told about every step.
        folder_of: Where the runs of other models lie; by default the weights taken over are
            trained in `folder/work`.
        crew: The processes that train together; by default this one alone.

    Raises:
        UsageError: If recipe and model, data or processes do not fit.
        EnvironmentProblem: If a file is damaged, the loss is not finite, or another process works
            on the weights to take over.
    """
    if plan.choice.source is not None:
        return _given(plan, data, device)
    bench = _Bench(data, device, progress, crew or Crew(Team()), folder_of)
    return _fitted(plan, folder, bench)


def follow(plan: FitPlan, data: SuiteData, device: torch.device, crew: Crew) -> None:
    """What the other processes of a crew do while the first one is in `fit`."""
    root = plan.root(data.suite)
    with crew.called(device, root.recipe.precision) as fabric:
        if fabric is not None:
            place = Workplace(data, device, Path(), Progress(), fabric)
            train_by_gradient(root, built(root, data, device), place, root.key(data))


def _given(plan: FitPlan, data: SuiteData, device: torch.device) -> Fitted:
    scope = plan.protocol.label_scope
    model = build_model(plan.choice, data.suite, plan.recipe.architecture(), scope).to(device)
    sha256 = given_sha256(str(plan.choice.source))
    return Fitted(model.eval(), sha256, pd.DataFrame(columns=["epoch"]), reused=True)


def _fitted(plan: FitPlan, folder: Path, bench: _Bench) -> Fitted:
    model = built(plan, bench.data, bench.device)
    key, path = plan.key(bench.data), folder / "weights.safetensors"
    facts = _facts(plan, bench)
    table, made = _stored_table(folder / "training.csv"), made_by(path)
    if table is not None and made.get("key") == key:
        bench.progress.message(f"weights reused: {path}")
        sha256, elsewhere = load_weights(path, model), made.get("trained_on")
        return Fitted(model.eval(), sha256, table, True, _stored_facts(made) or facts, elsewhere)
    if table is not None and made.get("key_anywhere") == plan.key_anywhere(bench.data):
        return _from_elsewhere(path, model, table, made, bench.progress)
    if path.is_file():
        bench.progress.message(f"weights of another request or version are replaced: {path}")
    table, base = _trained(plan, model, folder, key, bench)
    facts, elsewhere = (facts, None) if base is None else (base.facts, base.trained_on)
    write_text_atomic(folder / "training.csv", table.to_csv(index=False, lineterminator="\n"))
    shape = {"image_size": model.data_config.image_size, "num_classes": model.num_classes}
    options = plan.recipe.architecture() | shape  # with these, `ckpt:PATH` builds it again
    made = {"key": key, "model": plan.choice.label, "options": options}
    made |= {"key_anywhere": plan.key_anywhere(bench.data), "compute": plan.compute}
    made |= {"facts": None if facts is None else facts.as_dict(), "trained_on": elsewhere}
    sha256 = save_weights(path, model, made)
    return Fitted(model.eval(), sha256, table, False, facts, elsewhere)


def _from_elsewhere(
    path: Path, model: Classifier, table: pd.DataFrame, made: dict[str, Any], progress: Progress
) -> Fitted:
    """Weights of the same plan, trained on other devices or by other processes."""
    progress.message(f"weights reused, trained on {made['compute']}: {path}")
    sha256, elsewhere = load_weights(path, model), made["trained_on"] or made["compute"]
    return Fitted(model.eval(), sha256, table, True, _stored_facts(made), elsewhere)


def _stored_facts(made: dict[str, Any]) -> TrainingFacts | None:
    """The facts in a weights file, if it has any."""
    stated = made.get("facts")
    return None if stated is None else TrainingFacts(**stated)


def _facts(plan: FitPlan, bench: _Bench) -> TrainingFacts | None:
    if plan.choice.method == "probe":
        return None
    images = len(bench.data.rows(plan.protocol.train_split))
    root = plan.root(bench.data.suite)
    return training_facts(root.recipe, images, plan.protocol.selection, bench.crew.team.world)


def _stored_table(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):  # missing, empty or damaged: not the end of a training
        return None


def _trained(
    plan: FitPlan, model: Classifier, folder: Path, key: str, bench: _Bench
) -> tuple[pd.DataFrame, Fitted | None]:
    """The model's weights, whichever way it comes to them.

    Returns:
        The training table, and the model whose weights it took over, if it did.
    """
    base = plan.base(bench.data.suite)
    if base is not None:
        return _taken_over(plan, base, model, folder, bench)
    place = bench.at(folder)
    if plan.choice.method == "probe":
        assert isinstance(model, TimmVit)
        cache = place.folder / f"features-{key[:16]}"
        splits, strengths = place.both_splits(plan, model), plan.recipe.probe_strengths
        return probe(model, *splits, strengths, cache, bench.progress), None
    with bench.crew.at_work(bench.device, plan.recipe.precision) as fabric:
        return train_by_gradient(plan, model, replace(place, fabric=fabric), key), None


def _taken_over(
    plan: FitPlan, base: FitPlan, model: Classifier, folder: Path, bench: _Bench
) -> tuple[pd.DataFrame, Fitted]:
    """Another model's trained weights, and for DFR a new last layer."""
    home = _home_of(base, folder, bench)
    with run_lock(home):
        found = _fitted(base, home, bench)
    model.load_state_dict(found.model.state_dict())
    if plan.choice.method != "dfr" or base.choice.method == "dfr":
        return found.table, found
    assert isinstance(model, TimmVit)
    splits = bench.at(folder).both_splits(plan, model)
    return noted(found.table, refit_last_layer(model, *splits, plan.recipe, plan.seed)), found


def _home_of(base: FitPlan, folder: Path, bench: _Bench) -> Path:
    """The run folder of the base, unless a complete run is there that its training would change."""
    private = folder / "work" / "base"
    if bench.folder_of is None:
        return private
    home = bench.folder_of(base.choice.label)
    key = base.key(bench.data)
    if made_by(home / "weights.safetensors").get("key") == key or not _is_complete(home):
        return home
    bench.progress.message(f"{home} is a complete run of other weights: it is left as it is")
    return private


def _is_complete(folder: Path) -> bool:
    return (folder / RECORD_FILE).is_file() and read_record(folder).status == "complete"
