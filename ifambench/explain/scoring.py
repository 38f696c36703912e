"""Scores of sets of patches in full batches: the one place where curves run the model.

Batches are bounded by tokens, not by images: a budget of B tokens takes B / (P + n) whole inputs,
or more of those from which patches were dropped. Sets of equal size go together, so nothing is
padded. The scores stay on the device until the last batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.explain.removal import Removal
from ifambench.explain.work_items import chunks
from ifambench.models.base import Classifier
from ifambench.predict.forward import scores_of

Tick = Callable[[int], None]
"""Told how many inputs were evaluated."""

_CPU_TOKENS = 1600
_ACCELERATOR_TOKENS = 50_000


@dataclass
class EmptyEnd:
    """The scores of the one input without any patch, once they are known; shared by all parts.

    Attributes:
        scores: (1, C) or None.
    """

    scores: Tensor | None = None


@dataclass(frozen=True)
class Scorer:
    """What is followed along a curve: the class of each image, under an operator.

    Attributes:
        model: With its label map.
        removal: The operator on the images.
        targets: (N,) long, on the device.
        budget: Tokens computed at once; it changes no result.
        precision: `32`, or `bf16` (autocast): logits have the resolution of bf16 then, and are
            widened before the softmax, which adds no error of its own.
        full: (N,) probabilities of the targets for the clean images where they are known.
        empty: The shared empty end.
    """

    model: Classifier
    removal: Removal
    targets: Tensor
    budget: int
    precision: str = "32"
    full: NDArray[np.float64] | None = None
    empty: EmptyEnd = field(default_factory=EmptyEnd)


def token_budget(
    model: Classifier, device: torch.device | str, batch_size: int | None = None
) -> int:
    """Tokens to compute at once.

    Without a batch size it depends on the device. On a CPU it is about 8 inputs of a ViT at 224
    pixels per thread: their activations stay in a core's cache, and larger batches are slower, not
    faster. An accelerator needs enough work per kernel to hide the launch: about 256 such inputs.

    Args:
        model: Gives the tokens of a whole input.
        device: Where to compute.
        batch_size: Whole inputs per forward pass.
    """
    if batch_size is not None:
        down, across = model.patch_grid
        return batch_size * (down * across + model.num_prefix_tokens)
    if torch.device(device).type == "cpu":
        return _CPU_TOKENS * torch.get_num_threads()
    return _ACCELERATOR_TOKENS


def scorer_of(
    model: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    operator: str = "mean",
    ids: Sequence[str] | None = None,
    masks: Tensor | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    precision: str = "32",
) -> Scorer:
    """A scorer of images, for use outside of a run; `Scorer` has the fields."""
    names = ids if ids is not None else [str(k) for k in range(len(images))]
    removal = Removal(model.unmapped, operator, images, names, masks, seed)
    budget = token_budget(model, images.device, batch_size)
    return Scorer(model, removal, targets.to(images.device), budget, precision)


def evaluate(
    scorer: Scorer,
    image: NDArray[np.int64],
    count: NDArray[np.int64],
    make: Callable[[NDArray[np.int64]], Callable[[slice], Tensor]],
    tick: Tick | None = None,
) -> Tensor:
    """Probability and logit of the target for each set of patches.

    Args:
        scorer: Model, operator and targets.
        image: (M,) image of each set.
        count: (M,) patches left in each set.
        make: From an order of the sets to a function that makes a slice of them, (m, n) bool.
        tick: Told about each batch.

    Returns:
        (M, 2) on the device, in the order of the sets.
    """
    removal, device = scorer.removal, scorer.targets.device
    order = np.lexsort((image, count)) if removal.drops else np.argsort(image, kind="stable")
    cost = [removal.tokens(k) for k in range(removal.num_patches + 1)]
    found = [torch.empty(0, 2, device=device, dtype=_wide(device))]
    with computing(scorer.precision, device):
        sets, index = make(order), torch.from_numpy(image[order]).to(device)
        for part, k in chunks(count[order], cost, scorer.budget, equal=removal.drops):
            logits = removal.logits(index[part], sets(part), k)
            found.append(_target_scores(scorer, logits, index[part]))
            if tick:
                tick(part.stop - part.start)
        place = torch.from_numpy(np.argsort(order)).to(device)
        return torch.cat(found)[place]


def empty_scores(scorer: Scorer, image: NDArray[np.int64]) -> Tensor:
    """Probability and logit of the images' targets when no patch is left and it is one input."""
    removal, device = scorer.removal, scorer.targets.device
    index = torch.from_numpy(image).to(device)
    with computing(scorer.precision, device):
        if scorer.empty.scores is None:
            none = torch.zeros(1, removal.num_patches, dtype=torch.bool, device=device)
            first = torch.zeros(1, dtype=torch.long, device=device)
            scorer.empty.scores = removal.logits(first, none, 0)
        return _target_scores(scorer, scorer.empty.scores.expand(len(image), -1), index)


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """No gradients, and autocast where half precision is asked for."""
    half = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    with torch.inference_mode(), half:
        yield


def _target_scores(scorer: Scorer, unmapped: Tensor, index: Tensor) -> Tensor:
    """(M, C) logits before the label map -> (M, 2) probability and logit of the targets."""
    with torch.autocast(unmapped.device.type, enabled=False):
        scores = scores_of(scorer.model, unmapped.to(_wide(unmapped.device)))
        target = scorer.targets[index][:, None]
        return torch.cat([scores.softmax(dim=1).gather(1, target), scores.gather(1, target)], 1)


def _wide(device: torch.device) -> torch.dtype:
    """Double precision, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64
