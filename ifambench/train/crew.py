"""The processes of a training from start to end: who is started, called, waited for.

The first process, the leader, does all of a run: it holds the run folder, shows progress, saves
and measures. The others join it for the training alone. They load the data and then wait for the
leader's word, which is either to train or that there is nothing to do.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ifambench.errors import EnvironmentProblem
from ifambench.train.fabric import make_fabric
from ifambench.train.helpers import Helpers, announce, started_helpers
from ifambench.train.team import LEADER, Team


class Crew:
    """The team of this process and its work.

    Args:
        team: Which process this is.
        command: Words of the command line that makes a process follow, after `ifambench`; needed
            when this process starts the others.
        logs: Folder for their output.
    """

    def __init__(self, team: Team, command: Sequence[str] = (), logs: Path = Path()) -> None:
        self.team = team
        self._command, self._logs = command, logs
        self._called = False

    @contextmanager
    def led(self, device: torch.device) -> Iterator[None]:
        """The leader's whole run; processes that were not called to train are told so at its end.

        An interrupt tells nobody: it reaches all processes, or their launcher ends them.
        """
        try:
            yield
        except Exception:
            self._dismiss(device)
            raise
        self._dismiss(device)

    @contextmanager
    def at_work(self, device: torch.device, precision: str) -> Iterator[Any]:
        """The leader's training: all processes are there, and Fabric connects them.

        Raises:
            EnvironmentProblem: If another process ends meanwhile.
        """
        self._called = True
        if self.team.world == 1:
            yield make_fabric(device, precision)
            return
        with self._helpers() as helpers, _connected(device, precision, self.team) as fabric:
            fabric.broadcast(True)
            try:
                yield fabric
            except RuntimeError as error:
                if _is_lost_connection(error):
                    raise helpers.lost() from error
                raise

    @contextmanager
    def called(self, device: torch.device, precision: str) -> Iterator[Any]:
        """A follower's part: Fabric when there is something to train, else None."""
        if LEADER in os.environ:
            announce()
        with _connected(device, precision, self.team) as fabric:
            try:
                yield fabric if fabric.broadcast(False) else None
            except RuntimeError as error:
                if _is_lost_connection(error):
                    raise EnvironmentProblem("the first process has ended") from error
                raise

    def _helpers(self) -> Any:
        if self.team.is_gathered:
            return nullcontext(Helpers())
        return started_helpers(self.team, self._command, self._logs)

    def _dismiss(self, device: torch.device) -> None:
        if self.team.is_gathered and not self._called:
            self._called = True
            with _connected(device, "32", self.team) as fabric:
                fabric.broadcast(False)


@contextmanager
def _connected(device: torch.device, precision: str, team: Team) -> Iterator[Any]:
    """Fabric with all processes connected; one process again afterwards."""
    fabric = make_fabric(device, precision, team)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else it greets
    fabric.launch()
    try:
        with warnings.catch_warnings():
            # a 1 x 1 convolution has two equal memory layouts
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield fabric
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
