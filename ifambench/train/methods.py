"""From the name of a training method to its step."""

from __future__ import annotations

from torch import Tensor

from ifambench.models.base import Classifier
from ifambench.models.ifam import Ifam
from ifambench.models.pdiscoformer import PDiscoFormer
from ifambench.train.ifam_steps import IfamStep, PartsStep
from ifambench.train.mixup import MixupStep
from ifambench.train.recipes import Recipe
from ifambench.train.steps import ErmStep, GroupDroStep, JttStep, RwgStep, Step


def make_step(
    method: str,
    model: Classifier,
    recipe: Recipe,
    num_groups: int,
    errors: Tensor | None = None,
) -> Step:
    """The step of a method.

    Args:
        method: `erm`, `rwg`, `groupdro`, `mixup`, `jtt`, or any name for a part-based model.
        model: The model to train.
        recipe: Its recipe.
        num_groups: Declared groups of the suite.
        errors: JTT: (N,) bool, what the first model got wrong; None for that first model.
    """
    if isinstance(model, Ifam):
        return IfamStep(model, recipe)
    if isinstance(model, PDiscoFormer):
        return PartsStep(model, recipe)
    if method == "groupdro":
        return GroupDroStep(model, recipe, num_groups)
    if errors is not None:
        return JttStep(model, recipe, errors)
    return {"rwg": RwgStep, "mixup": MixupStep}.get(method, ErmStep)(model, recipe)
