"""The contract of explainers, their catalogue, and the checks around a call.

An explainer is a function `(model, images, targets, context) -> relevance`:

- images (B, 3, H, W) normalised, targets (B,) class indices, relevance (B, h, w) float32;
- signed where the method is signed, on the patch grid, without resizing or rescaling;
- deterministic: random numbers come from `context.seed` and the image id, never from a global
  generator or from the place in the batch;
- the model is left as it was: no hooks, no gradients, no changed `requires_grad`.

Each file states its explainers in the literal `EXPLAINERS`: `build` (the function), `summary`,
`needs` (capabilities of the model), `needs_any` (one of these is enough), `needs_masks` (the suite
must have object masks), `cost` (in words), `forwards` ([a, b]: a + b n forward passes per image for
n patches, a backward pass counted as two), `family` (control, attention, gradient, perturbation or
model), `binary` (relevance is a 0/1 mask), `class_specific`, and where they are true `draws` (the
curves are averaged over several random draws) and `tied` (more than a fifth of the patches tie in
every map).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.deletion import FLOOR
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating, refuse_non_finite
from ifambench.registry import Registry

EXPLAINER_REGISTRY = Registry(
    kind="explainer", package="ifambench.explain.methods", constant="EXPLAINERS"
)
"""All explainers, the built-in ones and those of plug-ins."""


KeepScore = Callable[[Tensor, Tensor], Tensor]
"""(index of the image (M,) long, patches kept (M, h, w) bool) -> probability of the target of that
image (M,) float32, under the operator of the run. Explainers that remove patches use it."""


@dataclass(frozen=True)
class ExplainContext:
    """What an explainer may know beside model, images and targets.

    Attributes:
        ids: B image ids, for random numbers that belong to the image.
        seed: Seed of the explanation.
        masks: (B, h, w) bool patches of the true object, for models that need them.
        draw: Which of several random draws is asked for.
        coverage: (B, h, w) share of each patch on the true object, NaN where there is no mask; None
            where masks were not looked for.
        score: The score of the target class when only some patches are left, see `KeepScore`; None
            means removed patches are 0 after normalisation (`explain/keep_score.py`).
        batch_size: Inputs per forward pass; it changes no result.
    """

    ids: Sequence[str]
    seed: int = 0
    masks: Tensor | None = None
    draw: int = 0
    coverage: Tensor | None = None
    score: KeepScore | None = None
    batch_size: int = 64


Explainer = Callable[[Classifier, Tensor, Tensor, ExplainContext], Tensor]


def stable_hash(*parts: object) -> int:
    """A 64-bit number from text, the same in every process."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def map_passes(name: str, patches: int) -> int:
    """Forward passes of one map, as its explainer states them: [a, b] is a + b n, n patches."""
    alone, per_patch = EXPLAINER_REGISTRY.entry(name).info.get("forwards", (0, 0))
    passes: int = math.ceil(alone + per_patch * patches)
    return passes


def default_explainers(model: Classifier) -> list[str]:
    """What is measured when the user names no explainer; the random floor is last."""
    if "selection" in model.capabilities:
        return ["ifam-mask", "ifam-soft", "grad-cam", FLOOR]
    if "trace" in model.capabilities:
        return ["grad-cam", "attention-rollout", FLOOR]
    if "conv" in model.capabilities:
        return ["grad-cam", FLOOR]
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
    info = EXPLAINER_REGISTRY.entry(name).info
    missing = set(info.get("needs", ())) - model.capabilities
    either = info.get("needs_any", ())
    if either and not model.capabilities.intersection(either):
        missing.add(" or ".join(either))
    return missing


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
