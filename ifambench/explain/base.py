"""The contract of explainers, their catalogue, and the checks around a call.

An explainer is a function `(model, images, targets, context) -> relevance`:

- images (B, 3, H, W) normalised, targets (B,) class indices, relevance (B, h, w) float32;
- signed where the method is signed, on the patch grid, without resizing or rescaling;
- deterministic: random numbers come from `context.seed` and the image id, never from a global
  generator or from the place in the batch;
- the model is left as it was: no hooks, no gradients, no changed `requires_grad`.

Each file states its explainers in the literal `EXPLAINERS`: `build` (the function), `summary`,
`needs` (capabilities of the model), `cost`, `binary` (relevance is a 0/1 mask), `class_specific`,
and `draws` for explainers that are averaged over several random draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.deletion import FLOOR
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating, refuse_non_finite
from ifambench.registry import Registry

EXPLAINER_REGISTRY = Registry(kind="explainer", package="ifambench.explain", constant="EXPLAINERS")
"""All explainers, the built-in ones and those of plug-ins."""


@dataclass(frozen=True)
class ExplainContext:
    """What an explainer may know beside model, images and targets.

    Attributes:
        ids: B image ids, for random numbers that belong to the image.
        seed: Seed of the explanation.
        masks: (B, h, w) bool patches of the true object, for models that need them.
        draw: Which of several random draws is asked for.
    """

    ids: Sequence[str]
    seed: int = 0
    masks: Tensor | None = None
    draw: int = 0


Explainer = Callable[[Classifier, Tensor, Tensor, ExplainContext], Tensor]


def stable_hash(*parts: object) -> int:
    """A 64-bit number from text, the same in every process."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def default_explainers(model: Classifier) -> list[str]:
    """What is measured when the user names no explainer; the random floor is last."""
    if "selection" in model.capabilities:
        return ["ifam-mask", "ifam-soft", "grad-cam", FLOOR]
    if "trace" in model.capabilities:
        return ["grad-cam", "attention-rollout", FLOOR]
    return [FLOOR]


def check_needs(name: str, model: Classifier) -> None:
    """Refuse an explainer that asks for more than the model can do.

    Raises:
        UsageError: If there is no such explainer, or naming the missing capability and the
            explainers that do work.
    """
    missing = sorted(_missing(name, model))
    if missing:
        works = [other for other in EXPLAINER_REGISTRY.names() if not _missing(other, model)]
        raise UsageError(
            f'explainer "{name}" needs a model with the capability "{missing[0]}"',
            where="--explainer",
            choices=works,
            next_step="leave --explainer out to use the model's default explainers",
        )


def _missing(name: str, model: Classifier) -> set[str]:
    return set(EXPLAINER_REGISTRY.entry(name).info.get("needs", ())) - model.capabilities


def relevance_of(
    name: str, model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext
) -> Tensor:
    """Run one explainer on the model in eval mode and check what comes back.

    Returns:
        (B, h, w) float32, without gradient.

    Raises:
        UsageError: If the model lacks what the explainer needs.
        EnvironmentProblem: If the relevance has the wrong shape (a faulty plug-in) or is not
            finite; the message names the explainer and the image.
    """
    check_needs(name, model)
    explainer: Explainer = EXPLAINER_REGISTRY.load(name)
    with evaluating(model):
        relevance = explainer(model, images, targets, context).detach().to(torch.float32)
    expected = (len(images), *model.patch_grid)
    if tuple(relevance.shape) != expected:
        raise EnvironmentProblem(
            f'explainer "{name}" gave relevance of shape {tuple(relevance.shape)}, '
            f"expected {expected}",
            where=EXPLAINER_REGISTRY.entry(name).module,
        )
    what = f"the relevance of {name} is"
    refuse_non_finite(relevance.cpu().numpy(), list(context.ids), what)
    return relevance
