"""Exponential moving average of the trained weights (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averaged:
    """The running average of a model's trainable parameters; nothing at all at decay 0.

    Early on the decay is min(decay, (1 + n) / (10 + n)) after n updates, so that a short training
    does not keep its random start.

    Args:
        model: Its trainable parameters are followed; what is frozen stays as it is.
        decay: Share of the former average that stays at every update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        followed = model.named_parameters() if decay else ()
        self.parameters = {name: p for name, p in followed if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Follow the weights.

        Args:
            updates: n, earlier updates of this training.
        """
        if not self.decay:
            return
        decay = min(self.decay, (1 + updates) / (10 + updates))
        averages, now = list(self.average.values()), list[Tensor](self.parameters.values())
        torch._foreach_lerp_(averages, now, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model has the averaged weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and their average."""
        for name, parameter in self.parameters.items():
            former = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(former)

    def load(self, average: dict[str, Tensor]) -> None:
        """Restore a stored average in place."""
        for name, value in average.items():
            self.average[name].copy_(value)
