"""The training loop: epochs over a split, on Lightning Fabric.

One process or many, in any precision, the loop is the same. A batch is cut into passes and each
pass into one part per process (`order`); gradients are added over the passes and averaged over the
processes; an optimizer step follows. The state is kept at the end of epochs and every
`CHECKPOINT_SECONDS` within them, so a run that is killed goes on, with the same random numbers,
to the weights of an unbroken one.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.train.checkpoint import Keeper, restore, take_up
from ifambench.train.ema import Averaged
from ifambench.train.fabric import make_fabric
from ifambench.train.interrupts import gentle_stop
from ifambench.train.notes import Notes
from ifambench.train.order import check_batch, epoch_order, passes
from ifambench.train.ranks import all_mean, current_ranks
from ifambench.train.recipes import Recipe
from ifambench.train.schedule import factor, steps_per_epoch
from ifambench.train.selection import better, keep_selected
from ifambench.train.state import Position, Training
from ifambench.train.steps import Batch, Step
from ifambench.train.trainset import TrainSet
from ifambench.train.validation import validate

_ADAM_BETAS = (0.9, 0.999)
_SEED_STRIDE = 1_000_003


def train_model(
    step: Step,
    train: TrainSet,
    val: TrainSet | None,
    recipe: Recipe,
    seed: int,
    folder: Path,
    key: str,
    progress: Progress,
    *,
    selection: str = "last",
    fabric: Any = None,
) -> pd.DataFrame:
    """Train `step.model` in place and return the training table, one row per epoch.

    With several processes every one of them calls this with the same arguments; all end with the
    same weights and the same table.

    Args:
        step: The method's training step.
        train: Training images.
        val: Validation images, if any; measured after every epoch, never trained on.
        recipe: Epochs, learning rates, ...
        seed: Seed of initial order, augmentation and noise.
        folder: Where the checkpoint of an unfinished training lies; the first process writes it.
        key: Digest of everything that shapes the training; another key starts afresh.
        progress: Told about every step.
        selection: Which epoch's weights are kept, see `ifambench.train.selection`. With averaged
            weights (`recipe.ema`) these are measured and kept.
        fabric: A launched Fabric of several processes; by default one of this process alone.

    Raises:
        UsageError: If the batch does not divide into passes and processes.
        EnvironmentProblem: If the loss is not finite.
        KeyboardInterrupt: If the user or a scheduler stops it; the state is saved before.
    """
    fabric = fabric or make_fabric(train.device, recipe.precision)
    check_batch(recipe, len(train), current_ranks().world)
    devices = [train.device] if train.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), gentle_stop() as stop:
        torch.manual_seed(seed)
        training = _prepare(step, recipe, len(train), fabric)
        path = folder / "checkpoint.pt"
        content, kept = take_up(path, key) if fabric.is_global_zero else (None, None)
        if kept is not None:
            progress.message(f"the state of a training with other settings is kept: {kept}")
        if restore(content, training):
            progress.message(_resumes(training.position))
        progress.start("train", _steps_left(training.position, recipe, len(train)))
        keeper = Keeper(path, key, stop)
        loop = _Loop(training, recipe, seed, keeper, progress)
        while training.position.epoch < recipe.epochs:
            loop.epoch(train, val, selection)
    training.average.swap()
    return keep_selected(training.best, pd.DataFrame(training.log), step.model)


def _prepare(step: Step, recipe: Recipe, images: int, fabric: Any) -> Training:
    groups = [group | {"lr": group["peak_lr"]} for group in step.parameter_groups(images)]
    optimizer = torch.optim.AdamW(
        groups,
        betas=_ADAM_BETAS,
        weight_decay=recipe.effective_weight_decay(images),
        foreach=True,  # fused kernels do not exist everywhere
    )
    module, optimizer = fabric.setup(step, optimizer)
    return Training(step, module, optimizer, fabric, Averaged(step.model, recipe.ema))


def _resumes(position: Position) -> str:
    within = f", step {position.steps} of the next" if position.steps else ""
    return f"training resumes after epoch {position.epoch}{within}"


def _steps_left(position: Position, recipe: Recipe, images: int) -> int:
    return (recipe.epochs - position.epoch) * steps_per_epoch(images, recipe) - position.steps


class _Loop:
    """Epochs of a prepared training."""

    def __init__(
        self, training: Training, recipe: Recipe, seed: int, keeper: Keeper, progress: Progress
    ) -> None:
        self.training, self.recipe, self.seed = training, recipe, seed
        self.keeper, self.progress = keeper, progress
        self.notes = Notes(recipe.epochs)

    def epoch(self, train: TrainSet, val: TrainSet | None, selection: str) -> None:
        """The rest of the present epoch, its row of the table, and the best epoch so far."""
        training, position = self.training, self.training.position
        order = self._order(train)
        self._steps(train, order)
        row = self._row(len(order))
        _refuse_broken(training.step.model, position.epoch)
        with training.average.in_place():
            row |= {} if val is None else validate(training.step.model, val, training.fabric)
            training.best = better(selection, training.best, row, training.step.model)
        training.log.append(row)
        training.position = Position(position.epoch + 1)
        self.keeper.after_epoch(training, last=position.epoch + 1 == self.recipe.epochs)

    def _order(self, train: TrainSet) -> list[Tensor]:
        """The batches of the epoch; of one that was broken off, the same as before."""
        position, now = self.training.position, torch.get_rng_state()
        weights = self.training.step.sampling(train.group)
        resumed = position.order_rng is not None
        if position.order_rng is None:
            position.order_rng = now
        torch.set_rng_state(position.order_rng)
        order = epoch_order(len(train), self.recipe.batch_size, weights)
        if resumed:
            torch.set_rng_state(now)
        return order

    def _steps(self, train: TrainSet, order: list[Tensor]) -> None:
        """The optimizer steps that are left of the epoch."""
        training, position, ranks = self.training, self.training.position, current_ranks()
        training.module.train()
        started = time.perf_counter() - position.seconds
        left = [passes(batch, self.recipe.accumulate, ranks) for batch in order[position.steps :]]
        with contextlib.closing(train.batches(chain.from_iterable(left))) as batches:
            for parts in left:
                found = self._step(islice(batches, len(parts)), len(parts), len(order))
                position.steps += 1
                position.seconds = time.perf_counter() - started
                self.progress.advance(note=self.notes.text(training, found))
                self.keeper.after_step(training)

    def _step(self, batches: Iterable[Batch], parts: int, per_epoch: int) -> dict[str, Tensor]:
        """One optimizer step; returns the losses of its last pass."""
        training, fabric = self.training, self.training.fabric
        done = training.position.epoch * per_epoch + training.position.steps
        self._before_step(done, per_epoch)
        for number, batch in enumerate(batches, start=1):
            with fabric.no_backward_sync(training.module, enabled=number < parts):
                found: dict[str, Tensor] = training.module(batch)
                fabric.backward(found["total"] / parts)
            training.position.add({name: value / parts for name, value in found.items()})
        fabric.clip_gradients(
            training.module, training.optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
        )
        training.optimizer.step()
        training.average.update(done)
        return found

    def _before_step(self, done: int, per_epoch: int) -> None:
        """Learning rates, gradients, and the seed of the device's own generator."""
        rate = factor(self.recipe, done, per_epoch)
        for group in self.training.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * rate
        self.training.optimizer.zero_grad()
        if self.training.fabric.device.type == "cuda":
            ranks = current_ranks()
            torch.cuda.manual_seed(self.seed + _SEED_STRIDE * (done * ranks.world + ranks.rank + 1))

    def _row(self, per_epoch: int) -> dict[str, float]:
        """The epoch's losses, learning rate and time."""
        position, recipe = self.training.position, self.recipe
        stacked = torch.stack(list(position.sums.values())).to(self.training.fabric.device)
        sums = all_mean(stacked).tolist()  # a resumed epoch has them on the CPU
        means = {f"loss_{n}": s / per_epoch for n, s in zip(position.sums, sums, strict=True)}
        _refuse_divergence(means, position.epoch)
        last = factor(recipe, (position.epoch + 1) * per_epoch - 1, per_epoch)
        rate = recipe.peak_lr(recipe.lr) * last
        return {"epoch": position.epoch + 1, **means, "lr": rate, "seconds": position.seconds}


def _refuse_broken(model: torch.nn.Module, epoch: int) -> None:
    """A gradient can be infinite where every loss is finite."""
    for name, weights in model.named_parameters():
        if not bool(weights.isfinite().all()):
            raise _diverged(name, epoch)


def _diverged(what: str, epoch: int) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"training diverged in epoch {epoch + 1}: {what} is not finite",
        next_step="lower the recipe's learning rate",
    )


def _refuse_divergence(means: dict[str, float], epoch: int) -> None:
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise _diverged(bad[0], epoch)
