"""How many processes train together, and which one this is.

Under `torchrun` and `srun` every process runs the same command and finds its place in the
environment. `--devices N` without them makes this process the first one; it starts the others when
there is something to train (`ifambench.train.crew`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from ifambench.errors import EnvironmentProblem, UsageError

LEADER = "IFAMBENCH_LEADER"
"""Set for processes that another one has started: its process id."""


@dataclass(frozen=True)
class Team:
    """The processes of a training, one per device.

    Attributes:
        devices: Processes per machine.
        num_nodes: Machines.
        rank: Number of this process.
        local_rank: Its number on its machine, and of its GPU.
        launcher: Who starts the processes.
    """

    devices: int = 1
    num_nodes: int = 1
    rank: int = 0
    local_rank: int = 0
    launcher: Literal["alone", "leader", "torchrun", "srun"] = "alone"

    @property
    def world(self) -> int:
        """Processes."""
        return self.devices * self.num_nodes

    @property
    def follows(self) -> bool:
        """Whether another process decides what is done."""
        return self.rank > 0

    @property
    def is_gathered(self) -> bool:
        """Whether the others run already, started from outside."""
        return self.launcher in ("torchrun", "srun")

    def place(self, device: torch.device) -> torch.device:
        """The device of this process."""
        if self.world == 1 or device.type != "cuda":
            return device
        return torch.device("cuda", self.local_rank)


def find_team(
    devices: int = 1, num_nodes: int = 1, environ: Mapping[str, str] | None = None
) -> Team:
    """The team of this process.

    Args:
        devices: Processes per machine as asked for; 1 under torchrun means what torchrun says.
        num_nodes: Machines as asked for, likewise.
        environ: Environment variables; those of the process by default.

    Raises:
        UsageError: If the launcher has started another number of processes than was asked for, or
            if several machines were asked for without a launcher.
        EnvironmentProblem: If the launcher's variables are not all there.
    """
    environ = os.environ if environ is None else environ
    if LEADER in environ:
        rank = _number(environ, "LOCAL_RANK", "the first process")
        world = _number(environ, "LOCAL_WORLD_SIZE", "the first process")
        return Team(world, 1, rank, rank, "leader")
    if "TORCHELASTIC_RUN_ID" in environ:
        return _under_torchrun(devices, num_nodes, environ)
    if devices * num_nodes > 1 and "SLURM_STEP_ID" in environ:
        return _under_srun(devices, num_nodes, environ)
    if num_nodes > 1:
        raise UsageError(
            f"{num_nodes} machines need a launcher that starts a process on each",
            where="--num-nodes",
            next_step="torchrun --nnodes N --nproc-per-node M ... -m ifambench train ..., or srun",
        )
    return Team(devices, launcher="leader" if devices > 1 else "alone")


def check_team(team: Team, device: torch.device) -> None:
    """Refuse devices that the machine does not have.

    Raises:
        UsageError: If a numbered GPU, or one that cannot be shared, was asked for beside others.
        EnvironmentProblem: If there are fewer GPUs than processes.
    """
    if team.world == 1:
        return
    if device.type not in ("cpu", "cuda") or device.index is not None:
        raise UsageError(
            f'several processes cannot train on device "{device}"',
            where="--device, --devices",
            choices=["cpu", "cuda"],
        )
    if device.type == "cuda" and torch.cuda.device_count() < team.devices:
        raise EnvironmentProblem(
            f"{team.devices} GPUs are asked for, {torch.cuda.device_count()} are there",
            where="--devices",
            next_step="ifambench doctor",
        )


def share_cores(team: Team) -> None:
    """Give each process of a machine its share of the cores, unless OMP_NUM_THREADS says more."""
    if team.world > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // team.devices))


def _under_torchrun(devices: int, num_nodes: int, environ: Mapping[str, str]) -> Team:
    names = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK")
    world, local, rank, local_rank = (_number(environ, name, "torchrun") for name in names)
    if world == 1:
        return Team()
    _refuse_difference(devices, num_nodes, local, world // local, "torchrun")
    return Team(local, world // local, rank, local_rank, "torchrun")


def _under_srun(devices: int, num_nodes: int, environ: Mapping[str, str]) -> Team:
    step = "SLURM_STEP_NUM_TASKS" in environ
    tasks = _number(environ, "SLURM_STEP_NUM_TASKS" if step else "SLURM_NTASKS", "srun")
    nodes = int(environ.get("SLURM_STEP_NUM_NODES", environ.get("SLURM_NNODES", "1")))
    if tasks == 1 and num_nodes == 1:
        return Team(devices, launcher="leader")
    _refuse_difference(devices, num_nodes, tasks // nodes, nodes, "srun")
    rank, local_rank = (_number(environ, f"SLURM_{n}", "srun") for n in ("PROCID", "LOCALID"))
    return Team(devices, num_nodes, rank, local_rank, "srun")


def _number(environ: Mapping[str, str], name: str, launcher: str) -> int:
    """What a launcher has set.

    Raises:
        EnvironmentProblem: If it has not.
    """
    value = environ.get(name, "")
    if value.isascii() and value.isdecimal():
        return int(value)
    raise EnvironmentProblem(
        f"{launcher} has set no {name}" if not value else f'{name} is "{value}", not a number',
        where="environment",
        next_step="start it with the launcher again, or unset the variables it has left",
    )


def _refuse_difference(devices: int, num_nodes: int, local: int, nodes: int, launcher: str) -> None:
    if devices * num_nodes > 1 and (devices, num_nodes) != (local, nodes):
        raise UsageError(
            f"{launcher} has started {local} processes on each of {nodes} machines, not {devices} "
            f"on each of {num_nodes}",
            where="--devices, --num-nodes",
            choices=[f"--devices {local} --num-nodes {nodes}"],
        )
