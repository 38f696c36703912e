"""From a model name to trained weights: build, initialise, train, save; reuse what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from ifambench.data.manifest import SuiteData
from ifambench.models.base import Classifier
from ifambench.models.catalog import ModelChoice, build_model
from ifambench.models.ifam import Ifam
from ifambench.models.timm_vit import TimmVit
from ifambench.models.weights import Backbone, load_backbone, load_weights, made_by, save_weights
from ifambench.progress import Progress
from ifambench.records.files import write_text_atomic
from ifambench.records.key import code_digest, digest
from ifambench.suites.spec import Protocol
from ifambench.train.dfr import refit_last_layer
from ifambench.train.prototypes import start_at_rim
from ifambench.train.recipes import Recipe
from ifambench.train.steps import make_step
from ifambench.train.trainer import train_model
from ifambench.train.trainset import train_set

if TYPE_CHECKING:
    from ifambench.train.trainset import TrainSet


@dataclass(frozen=True)
class FitPlan:
    """Everything that shapes the weights.

    Attributes:
        choice: Model and method.
        recipe: How it is trained.
        protocol: Which splits are for training and selection.
        backbone: The pretrained backbone, or None when the recipe uses none.
        seed: Training seed.
        compute: Device type, threads and torch version.
    """

    choice: ModelChoice
    recipe: Recipe
    protocol: Protocol
    backbone: Backbone | None
    seed: int
    compute: str

    def key(self, data: SuiteData) -> str:
        """Digest of the plan and the data; equal keys give equal weights on one machine."""
        return digest(
            {
                "model": self.choice.label,
                "recipe": self.recipe.as_dict(),
                "splits": [self.protocol.train_split, self.protocol.select_split],
                "backbone": None if self.backbone is None else self.backbone.sha256,
                "seed": self.seed,
                "compute": self.compute,
                "data": data.digest,
                "code": code_digest(("data", "models", "train")),
            }
        )


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: On the device, in eval mode.
        sha256: sha256 of the weights file.
        table: The training table, one row per epoch.
        reused: Whether the weights were there already.
    """

    model: Classifier
    sha256: str
    table: pd.DataFrame
    reused: bool


def fit(
    plan: FitPlan, data: SuiteData, folder: Path, device: torch.device, progress: Progress
) -> Fitted:
    """Train the model, or load what an earlier call with the same plan has trained.

    Writes `weights.safetensors` and `training.csv` into `folder`, checkpoints into `folder/work`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        model = build_model(plan.choice, data.suite, plan.recipe.architecture())
    start_from(plan.backbone, model, plan.recipe)
    model.to(device)
    key, path = plan.key(data), folder / "weights.safetensors"
    table = _stored_table(folder / "training.csv")
    if table is not None and made_by(path).get("key") == key:
        progress.message(f"weights reused: {path}")
        return Fitted(model.eval(), load_weights(path, model), table, reused=True)
    table = _train(plan, model, data, folder, key, device, progress)
    write_text_atomic(folder / "training.csv", table.to_csv(index=False, lineterminator="\n"))
    sha256 = save_weights(path, model, {"key": key, "model": plan.choice.label})
    return Fitted(model.eval(), sha256, table, reused=False)


def start_from(backbone: Backbone | None, model: Classifier, recipe: Recipe) -> None:
    """Fill the networks that the recipe starts from a pretrained backbone.

    Raises:
        EnvironmentProblem: If the file is damaged or belongs to another architecture.
    """
    if backbone is not None:
        for vit in model.backbones(recipe.init):
            load_backbone(backbone, vit)


def _stored_table(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):  # missing, empty or damaged: not the end of a training
        return None


def _train(
    plan: FitPlan,
    model: Classifier,
    data: SuiteData,
    folder: Path,
    key: str,
    device: torch.device,
    progress: Progress,
) -> pd.DataFrame:
    train = train_set(data, plan.protocol.train_split, model, device)
    val = train_set(data, plan.protocol.select_split, model, device)
    if isinstance(model, Ifam) and plan.recipe.prototype_init == "rim":
        start_at_rim(model, train)
    step = make_step(plan.choice.method, model, plan.recipe, len(data.suite.groups.names))
    table = train_model(step, train, val, plan.recipe, plan.seed, folder / "work", key, progress)
    if plan.choice.method == "dfr":
        table = _after_dfr(table, model, train, val, plan)
    return table


def _after_dfr(
    table: pd.DataFrame, model: Classifier, train: TrainSet, val: TrainSet, plan: FitPlan
) -> pd.DataFrame:
    """Refit the last layer; what was chosen is noted in the last row of the table."""
    assert isinstance(model, TimmVit)
    found = refit_last_layer(model, train, val, plan.recipe, plan.seed)
    for name, value in found.items():
        table.loc[table.index[-1], name] = value
    return table
