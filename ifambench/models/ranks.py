"""Which process of a parallel training this is, and what the processes share.

W processes train on W contiguous shards of every global batch and must do what one process does
with the whole of it. Three rules make that so; for one process each is the identity, without an
extra draw or copy.

*Draws.* All ranks seed torch's CPU generator alike and draw for the **global** batch; each takes
its rows: `drawn(len(images), lambda n: torch.rand(n, 3))`. So the noise differs between the ranks,
and the generators stay in step. What is drawn once per batch (an affine map) is drawn as usual.

*Losses.* Every rank returns a loss L_r whose mean over the ranks is the loss L of the global
batch: the mean over its own images, or, where L is no mean over images, L itself, computed on
every rank from what `all_sum`, `all_mean` or `all_max` collected.

*Gradients.* With x_s what rank s contributes, the backward pass of a collection is its adjoint:
dx_s = sum_r dL_r/dx_s. Rank s thus has the gradient of sum_r L_r along its own x_s, and the
average over the ranks that the parallel strategy takes is
(1/W) sum_s (d sum_r L_r / dx_s)(dx_s / dtheta) = d((1/W) sum_r L_r)/dtheta = dL/dtheta.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among all that train together.

    Attributes:
        rank: Number of this process, from 0; the first one writes and speaks.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def rows(self, local: int) -> int:
        """Images of the global batch of which this rank has `local`."""
        return local * self.world

    def shard(self, whole: Tensor) -> Tensor:
        """The rows of this rank of a tensor over the global batch, (W B, ...) -> (B, ...).

        Raises:
            ValueError: If the rows do not divide into the ranks.
        """
        if self.world == 1:
            return whole
        if len(whole) % self.world:
            raise ValueError(f"{len(whole)} rows do not divide into {self.world} ranks")
        size = len(whole) // self.world
        return whole[self.rank * size : (self.rank + 1) * size]


def current_ranks() -> Ranks:
    """From the state of `torch.distributed`; one process when it is not in use."""
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks()
    return Ranks(dist.get_rank(), dist.get_world_size())


def drawn(local: int, draw: Callable[[int], Tensor]) -> Tensor:
    """This rank's rows of a random tensor over the global batch.

    Args:
        local: B, images of this rank.
        draw: From a number of images n to a tensor (n, ...), from torch's CPU generator.

    Returns:
        (B, ...).
    """
    ranks = current_ranks()
    return ranks.shard(draw(ranks.rows(local)))


def gather(x: Tensor) -> Tensor:
    """Every rank's tensor, (...) -> (W, ...), differentiable; shapes must be equal."""
    if current_ranks().world == 1:
        return x[None]
    found: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return found


def all_sum(x: Tensor) -> Tensor:
    """Elementwise sum over the ranks, differentiable."""
    return x if current_ranks().world == 1 else gather(x).sum(0)


def all_mean(x: Tensor) -> Tensor:
    """Elementwise mean over the ranks, differentiable."""
    return x if current_ranks().world == 1 else gather(x).mean(0)


def all_max(x: Tensor) -> Tensor:
    """Elementwise maximum over the ranks, differentiable."""
    return x if current_ranks().world == 1 else gather(x).amax(0)


class _Gather(torch.autograd.Function):
    """All-gather whose backward pass sums over the ranks, on any backend."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        found = [
            torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(_world())
        ]
        dist.all_gather(found, x.contiguous())
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[dist.get_rank()]


def _world() -> int:
    return dist.get_world_size()
