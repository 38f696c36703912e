"""The moving parts of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ifambench.train.ema import Averaged
from ifambench.train.selection import Best
from ifambench.train.steps import Step


@dataclass
class Position:
    """Where a training stands, between two optimizer steps.

    Attributes:
        epoch: Finished epochs.
        steps: Optimizer steps done in the present epoch.
        seconds: Time they took.
        sums: Sum of every loss over them, on the device, of this process. After a resumption every
            process goes on from the first one's sums, so the losses of a resumed epoch are logged
            with a slight error when several processes train; the weights are exact.
        order_rng: State of torch's CPU generator before the order of the epoch was drawn.
    """

    epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    order_rng: Tensor | None = None

    def add(self, losses: dict[str, Tensor]) -> None:
        """Count the losses of a step, or of a part of one, without waiting for the device."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()


@dataclass
class Training:
    """What changes while a model is trained.

    Attributes:
        step: The method's training step with the model.
        module: The step as Fabric has wrapped it for devices and precision.
        optimizer: AdamW over the step's parameter groups.
        fabric: Device, precision, processes and backward pass.
        average: Running average of the weights.
        best: Best epoch so far, if one is to be selected.
        position: Epoch and step.
        log: One row per finished epoch.
    """

    step: Step
    module: Any
    optimizer: torch.optim.Optimizer
    fabric: Any
    average: Averaged
    best: Best | None = None
    position: Position = field(default_factory=Position)
    log: list[dict[str, float]] = field(default_factory=list)
