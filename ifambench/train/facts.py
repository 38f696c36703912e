"""What a reader of a record must know of how a training was carried out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ifambench.train.order import check_batch
from ifambench.train.recipes import Recipe
from ifambench.train.schedule import steps_per_epoch


@dataclass(frozen=True)
class TrainingFacts:
    """What follows from recipe, data and machine.

    Attributes:
        processes: Processes that trained together, one per device.
        batch_size: Effective batch: images per optimizer step, over all processes and passes.
        accumulate: Passes per optimizer step.
        images_per_pass: Images that one process passes through the model at once.
        steps_per_epoch: Optimizer steps per epoch.
        lr: Peak learning rate after the rule.
        lr_rule: How it follows from the recipe's.
        weight_decay: What the optimizer got.
        precision: Of the forward and backward pass.
        ema: Decay of the averaged weights, 0 when there are none.
        selection: Which epoch's weights are kept.
    """

    processes: int
    batch_size: int
    accumulate: int
    images_per_pass: int
    steps_per_epoch: int
    lr: float
    lr_rule: str
    weight_decay: float
    precision: str
    ema: float
    selection: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run record."""
        return asdict(self)


def training_facts(recipe: Recipe, images: int, selection: str, processes: int) -> TrainingFacts:
    """The facts of a training.

    Args:
        recipe: How the model is trained.
        images: Images of the training split.
        selection: Policy of the protocol.
        processes: Processes that train together.

    Raises:
        UsageError: If the batch does not divide into passes and processes.
    """
    check_batch(recipe, images, processes)
    parts = processes * recipe.accumulate
    batch = min(recipe.batch_size, images // parts * parts)  # few images are one batch
    return TrainingFacts(
        processes=processes,
        batch_size=batch,
        accumulate=recipe.accumulate,
        images_per_pass=batch // parts,
        steps_per_epoch=steps_per_epoch(images, recipe),
        lr=recipe.peak_lr(recipe.lr),
        lr_rule=_lr_rule(recipe),
        weight_decay=recipe.effective_weight_decay(images),
        precision=recipe.precision,
        ema=recipe.ema,
        selection=selection,
    )


def _lr_rule(recipe: Recipe) -> str:
    if not recipe.lr_batch:
        return "as given"
    return f"{recipe.lr:g} x sqrt({recipe.batch_size} / {recipe.lr_batch})"
