"""Lightning Fabric for a training: device, precision, processes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch

from ifambench.errors import UsageError
from ifambench.train.team import Team

_LAUNCHED, _STARTED = timedelta(hours=1), timedelta(minutes=10)
"""How long a process waits for the others. Those that a launcher has started wait for the first
one's data, and the launcher ends them with each other; those started here are all busy."""

_MIXED = {"bf16": "bf16-mixed", "16": "16-mixed"}


def make_fabric(device: torch.device, precision: str, team: Team | None = None) -> Any:
    """A Fabric that has not been launched; without a team, or in a team of one, it need not be.

    Args:
        device: Where this process trains.
        precision: `32`, `bf16` or `16` (mixed with 32; `16` scales the loss).
        team: The processes that train together.

    Raises:
        UsageError: If the device cannot train in this precision.
    """
    from lightning_fabric import Fabric

    check_precision(device, precision)
    team = team or Team()
    plugins = [_environment(team)]
    if precision != "32":
        plugins.append(_mixed_precision(_MIXED[precision], device.type))
    if team.world == 1:
        devices = [device.index or 0] if device.type == "cuda" else 1
        return Fabric(accelerator=device.type, devices=devices, plugins=plugins)
    return Fabric(
        accelerator=device.type,
        devices=team.devices,
        num_nodes=team.num_nodes,
        strategy=_data_parallel(team),
        plugins=plugins,
    )


def check_precision(device: torch.device, precision: str) -> None:
    """Refuse half precision without a GPU.

    Raises:
        UsageError: Naming device and precision.
    """
    if precision == "16" and device.type != "cuda":
        raise UsageError(
            f"precision 16 needs a GPU, the device is {device.type}",
            where="--precision, or the recipe",
            choices=["32", "bf16"],
        )


def _data_parallel(team: Team) -> Any:
    """Gradients are averaged; every trained parameter must be reached by the loss."""
    from lightning_fabric.strategies import DDPStrategy

    timeout = _LAUNCHED if team.is_gathered else _STARTED
    return DDPStrategy(timeout=timeout)


def _environment(team: Team) -> Any:
    """Where rank and address are read from; Fabric's own guess takes any Slurm job for srun."""
    from lightning_fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    if team.launcher == "torchrun":
        return TorchElasticEnvironment()
    if team.launcher != "srun":
        return LightningEnvironment()
    try:
        return SLURMEnvironment()
    except RuntimeError as error:
        raise UsageError(str(error), where="srun") from error


def _mixed_precision(precision: Any, device: str) -> Any:
    from lightning_fabric.plugins import MixedPrecision

    class KeepsInputs(MixedPrecision):  # type: ignore[misc]
        """Augmentation happens in the step: images must reach it in full precision."""

        def convert_input(self, data: Any) -> Any:
            return data

    return KeepsInputs(precision, device)
