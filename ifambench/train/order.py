"""Which images make up which batch of an epoch, on which process and in which pass."""

from __future__ import annotations

import torch
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.train.ranks import Ranks
from ifambench.train.recipes import Recipe


def epoch_order(n: int, batch_size: int, weights: Tensor | None = None) -> list[Tensor]:
    """Index tensors of one epoch, from torch's global generator.

    Args:
        n: Images.
        batch_size: Images per batch; the rest that fills no batch is left out of this epoch.
        weights: (N,) how often each image is drawn relative to the others, with replacement; None
            draws every image once.
    """
    if weights is None:
        order = torch.randperm(n)
    else:
        order = torch.multinomial(weights, n, replacement=True)
    starts = range(0, n - batch_size + 1, batch_size)
    return [order[start : start + batch_size] for start in starts] or [order]


def passes(batch: Tensor, accumulate: int, ranks: Ranks) -> list[Tensor]:
    """What one process passes through the model for one optimizer step.

    The batch is cut into `accumulate` passes, each pass into one contiguous part per process.
    What does not divide, which happens only where a split is smaller than a batch, is left out.
    """
    if accumulate == ranks.world == 1:
        return [batch]
    size = len(batch) // (accumulate * ranks.world) * ranks.world
    return [ranks.shard(part) for part in torch.split(batch[: size * accumulate], size)]


def check_batch(recipe: Recipe, images: int, processes: int) -> None:
    """Refuse a batch that does not divide into passes and processes.

    Raises:
        UsageError: Naming batch size, passes and processes.
    """
    parts = recipe.accumulate * processes
    what = f"{processes} processes x accumulate {recipe.accumulate}"
    if recipe.batch_size % parts:
        raise UsageError(
            f"batch_size {recipe.batch_size} does not divide into {what}",
            where="recipe: batch_size, accumulate; --devices, --num-nodes",
            next_step=f"take a multiple of {parts}, such as MODEL@batch_size="
            f"{-(-recipe.batch_size // parts) * parts}",
        )
    if images < parts:
        raise UsageError(f"{images} training images do not suffice for {what}")
