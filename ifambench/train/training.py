"""Training by gradient: a plan becomes a model, a step and one or two runs of the loop.

With several processes each of them does all of this; the results are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ifambench.data.manifest import SuiteData
from ifambench.errors import UsageError
from ifambench.models.backbones import Backbone, load_backbone
from ifambench.models.base import Classifier
from ifambench.models.catalog import build_model
from ifambench.models.ifam import Ifam
from ifambench.models.pdiscoformer import PDiscoFormer
from ifambench.progress import Progress
from ifambench.records.key import digest
from ifambench.train.augment import GEOMETRIC
from ifambench.train.fit_plan import FitPlan
from ifambench.train.jtt import composition, describe, error_set
from ifambench.train.methods import make_step
from ifambench.train.prototypes import start_at_rim
from ifambench.train.recipes import Recipe
from ifambench.train.trainer import train_model
from ifambench.train.trainset import TrainSet, train_set


@dataclass(frozen=True)
class Workplace:
    """Where and on what a training works.

    Attributes:
        data: The suite's data.
        device: Of this process.
        folder: For checkpoints and caches.
        progress: Told about every step.
        fabric: A launched Fabric of several processes, or None for this one alone.
    """

    data: SuiteData
    device: torch.device
    folder: Path
    progress: Progress
    fabric: Any = None

    def splits(self, plan: FitPlan, model: Classifier) -> tuple[TrainSet, TrainSet | None]:
        """Training images, and validation images if the suite has them."""
        moving = "true_masks" in model.capabilities and plan.recipe.augment in GEOMETRIC
        protocol, select = plan.protocol, plan.protocol.select_split
        return (
            train_set(self.data, protocol.train_split, model, self.device, moving),
            train_set(self.data, select, model, self.device) if select else None,
        )

    def both_splits(self, plan: FitPlan, model: Classifier) -> tuple[TrainSet, TrainSet]:
        """Training and validation images for a method that cannot do without the latter.

        Raises:
            UsageError: If the suite has no validation images.
        """
        train, val = self.splits(plan, model)
        if val is None:
            raise UsageError(
                f"{plan.choice.method} is fitted or chosen on validation images, "
                f"and {self.data.suite.id} has none",
                next_step="choose another method, or add a [[source.holdout]] to the suite file",
            )
        return train, val


def built(plan: FitPlan, data: SuiteData, device: torch.device) -> Classifier:
    """The model at the start of its training, drawn from the plan's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        model = build_model(plan.choice, data.suite, plan.recipe.architecture())
    start_from(plan.backbone, model, plan.recipe)
    return model.to(device)


def start_from(backbone: Backbone | None, model: Classifier, recipe: Recipe) -> None:
    """Fill the networks that the recipe starts from a pretrained backbone.

    Raises:
        EnvironmentProblem: If the file is damaged or belongs to another architecture.
    """
    if backbone is not None:
        for vit in model.backbones(recipe.init):
            load_backbone(backbone, vit)


def train_by_gradient(plan: FitPlan, model: Classifier, place: Workplace, key: str) -> pd.DataFrame:
    """Train the model in place; returns the training table.

    Args:
        plan: A plan without a base.
        model: As `built`.
        place: Where and on what.
        key: Of the plan; an unfinished training of another key is not resumed.
    """
    if plan.choice.method == "jtt":
        return _train_twice(plan, model, place, key)
    return _train(plan, model, place, key)


def _train(
    plan: FitPlan,
    model: Classifier,
    place: Workplace,
    key: str,
    errors: torch.Tensor | None = None,
) -> pd.DataFrame:
    train, val = place.splits(plan, model)
    if isinstance(model, Ifam | PDiscoFormer) and plan.recipe.prototype_init == "rim":
        start_at_rim(model, train, plan.recipe.rim_quantile)
    groups = len(place.data.suite.groups.names)
    step = make_step(plan.choice.method, model, plan.recipe, groups, errors)
    step.begin(train.y, train.group)
    return train_model(
        step,
        train,
        val,
        plan.recipe,
        plan.seed,
        place.folder,
        key,
        place.progress,
        selection=plan.protocol.selection,
        fabric=place.fabric,
    )


def _train_twice(plan: FitPlan, model: Classifier, place: Workplace, key: str) -> pd.DataFrame:
    """JTT: the first training finds the errors, the second one starts anew."""
    first = replace(
        plan,
        recipe=replace(plan.recipe, epochs=plan.recipe.jtt_epochs),
        protocol=plan.protocol.model_copy(update={"selection": "last"}),
    )
    beside = replace(place, folder=place.folder / "first")
    beginner = built(first, place.data, place.device)
    _train(first, beginner, beside, digest([key, "first"]))
    train, _ = place.splits(plan, beginner)
    errors, names = error_set(beginner, train), place.data.suite.groups.names
    if place.fabric is not None:  # devices round differently, and all must draw the same images
        errors = place.fabric.broadcast(errors)
    place.progress.message(describe(errors, train.group, names))
    table = _train(plan, model, place, key, errors)
    return noted(table, composition(errors, train.group, names))


def noted(table: pd.DataFrame, found: dict[str, float]) -> pd.DataFrame:
    """The table with further values in its last row."""
    table = table.copy()
    for name, value in found.items():
        table.loc[table.index[-1], name] = value
    return table
