"""The training loop: epochs over a split, on Lightning Fabric, resumable after every epoch.

A run killed in the middle of an epoch repeats that epoch from its start, with the same random
numbers, so the final weights are those of an unbroken run.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ifambench.train.recipes import Recipe
from ifambench.train.steps import Step
from ifambench.train.trainset import TrainSet, epoch_order

_ADAM_BETAS = (0.9, 0.999)


@dataclass
class Training:
    """The moving parts of a training run.

    Attributes:
        step: Model and losses.
        optimizer: AdamW over the step's parameter groups.
        fabric: Device, precision and backward pass.
        log: One row per finished epoch.
    """

    step: Step
    optimizer: torch.optim.Optimizer
    fabric: Any
    log: list[dict[str, float]]


def train_model(
    step: Step,
    train: TrainSet,
    val: TrainSet,
    recipe: Recipe,
    seed: int,
    folder: Path,
    key: str,
    progress: Progress,
) -> pd.DataFrame:
    """Train `step.model` in place and return the training table, one row per epoch.

    Args:
        step: The method's training step.
        train: Training images.
        val: Validation images; only measured, never trained on.
        recipe: Epochs, learning rates, ...
        seed: Seed of initial order, augmentation and noise.
        folder: Where the checkpoint of an unfinished training lies.
        key: Digest of everything that shapes the training; another key starts afresh.
        progress: Told about every step.

    Raises:
        EnvironmentProblem: If the loss is not finite.
    """
    devices = [train.device] if train.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        training = _prepare(step, train.device)
        first = _resume(training, folder / "checkpoint.pt", key, progress)
        progress.start("train", (recipe.epochs - first) * _steps_per_epoch(train, recipe))
        for epoch in range(first, recipe.epochs):
            row = _epoch(training, train, recipe, epoch, progress)
            training.log.append(row | _check(step, val))
            state = Checkpoint(key, epoch + 1, step, training.optimizer, training.log)
            save_checkpoint(folder / "checkpoint.pt", state)
    return pd.DataFrame(training.log)


def _prepare(step: Step, device: torch.device) -> Training:
    from lightning_fabric import Fabric

    devices = [device.index or 0] if device.type == "cuda" else 1
    fabric = Fabric(accelerator=device.type, devices=devices)
    groups = [group | {"lr": group["peak_lr"]} for group in step.parameter_groups()]
    # the fused kernels fall back where they do not exist; foreach is the portable fast path
    optimizer = torch.optim.AdamW(groups, betas=_ADAM_BETAS, foreach=True)
    for group in optimizer.param_groups:
        group["weight_decay"] = step.recipe.weight_decay
    wrapped, optimizer = fabric.setup(step, optimizer)
    return Training(wrapped, optimizer, fabric, [])


def _resume(training: Training, path: Path, key: str, progress: Progress) -> int:
    """Restore the last finished epoch; returns the epoch to start with."""
    epoch, log = load_checkpoint(path, key, training.step, training.optimizer)
    training.log.extend(log)
    if epoch:
        progress.message(f"training resumes after epoch {epoch}")
    return epoch


def _epoch(
    training: Training, train: TrainSet, recipe: Recipe, epoch: int, progress: Progress
) -> dict[str, float]:
    """One pass; returns the epoch's row of the training table."""
    started = time.perf_counter()
    training.step.train()
    balanced = recipe.group_balanced and hasattr(training.step, "group_weights")
    order = epoch_order(len(train), recipe.batch_size, train.group if balanced else None)
    sums: dict[str, Tensor] = {}
    for number, index in enumerate(order):
        _set_learning_rate(training.optimizer, recipe, epoch * len(order) + number, len(order))
        found = training.step(train.batch(index))
        _optimise(training, found["total"], recipe)
        for name, value in found.items():
            sums[name] = sums.get(name, torch.zeros(())) + value.detach().cpu()
        progress.advance(note=f"epoch {epoch + 1}/{recipe.epochs}")
    means = {f"loss_{name}": float(value) / len(order) for name, value in sums.items()}
    _refuse_divergence(means, epoch)
    rate = training.optimizer.param_groups[-1]["lr"]
    return {"epoch": epoch + 1, **means, "lr": rate, "seconds": time.perf_counter() - started}


def _optimise(training: Training, loss: Tensor, recipe: Recipe) -> None:
    training.optimizer.zero_grad()
    training.fabric.backward(loss)
    parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
    training.optimizer.step()


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps_per_epoch: int
) -> None:
    """Linear warm-up, then cosine to 0."""
    total = recipe.epochs * steps_per_epoch
    warm = min(1.0, (step + 1) / max(1.0, recipe.warmup * total))
    factor = warm * 0.5 * (1 + math.cos(math.pi * step / total))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


@torch.no_grad()
def _check(step: Step, val: TrainSet) -> dict[str, float]:
    """Accuracy and worst-group accuracy on the validation split."""
    step.eval()
    right = torch.cat(
        [
            (step.model.logits(batch.images, batch.keep).argmax(1) == batch.y).float().cpu()
            for batch in val.in_order(256)
        ]
    )
    members = [val.group == g for g in range(int(val.group.max()) + 1)]
    groups = [float(right[member].mean()) for member in members if bool(member.any())]
    return {"val_accuracy": float(right.mean()), "val_worst_group_accuracy": min(groups)}


def _refuse_divergence(means: dict[str, float], epoch: int) -> None:
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise EnvironmentProblem(
            f"training diverged in epoch {epoch + 1}: {bad[0]} is not finite",
            next_step="lower the recipe's learning rate",
        )


def _steps_per_epoch(train: TrainSet, recipe: Recipe) -> int:
    return max(1, len(train) // recipe.batch_size)
