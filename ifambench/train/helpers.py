"""The further processes that the first one starts on its own machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

import ifambench
from ifambench.errors import EnvironmentProblem
from ifambench.train.team import LEADER, Team

_PATIENCE = 10.0
_POLL_SECONDS = 0.05
_LOG = "IFAMBENCH_HELPER_LOG"


class Helpers:
    """Processes with rank 1, 2, ..., and their logs; none where others have started them."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []

    def start(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        """Start one, out of reach of the terminal's Ctrl-C: the first process ends it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        _ready_file(log).unlink(missing_ok=True)
        with log.open("wb") as output:
            self.processes.append(
                subprocess.Popen(
                    command,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        self.logs.append(log)

    def await_ready(self) -> None:
        """Until every one has announced that it is about to connect, see `announce`.

        Raises:
            EnvironmentProblem: If one has ended before.
        """
        for rank, (process, log) in enumerate(zip(self.processes, self.logs, strict=True), start=1):
            while not _ready_file(log).exists():
                if process.poll() is not None:
                    raise _ended(rank, process.returncode, log)
                time.sleep(_POLL_SECONDS)

    def wait(self) -> None:
        """Until all have ended, but not for long."""
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)

    def kill(self) -> None:
        """End those that are left; they hold nothing that is not elsewhere."""
        for process in self.processes:
            process.kill()
            process.wait()

    def lost(self) -> EnvironmentProblem:
        """The error for a connection that broke: which process has ended, and its last words."""
        for rank, process in enumerate(self.processes, start=1):
            with contextlib.suppress(subprocess.TimeoutExpired):
                if process.wait(_PATIENCE):
                    return _ended(rank, process.returncode, self.logs[rank - 1])
        return EnvironmentProblem(
            "another process of the training has ended", next_step="its output says why"
        )


@contextmanager
def started_helpers(team: Team, command: Sequence[str], logs: Path) -> Iterator[Helpers]:
    """All processes of the team but this one, which becomes rank 0 of it.

    Args:
        team: Its size.
        command: Words after `ifambench`.
        logs: Folder for their output.
    """
    helpers = Helpers()
    words = [sys.executable, "-m", "ifambench", *command]
    with reserved_port() as port, _environment(_shared_environment(team, port)):
        try:
            for rank in range(1, team.devices):
                own = {"LOCAL_RANK": str(rank), LEADER: str(os.getpid())}
                own["PYTHONPATH"] = _python_path()
                log = logs / f"process-{rank}.log"
                helpers.start(words, os.environ | own | {_LOG: str(log.resolve())}, log)
            helpers.await_ready()
            yield helpers
            helpers.wait()
        finally:
            helpers.kill()


def announce() -> None:
    """In a helper: tell the first process that this one is ready, and end when that one does.

    Without the first process it might wait in a collection for ever.
    """
    _ready_file(Path(os.environ[_LOG])).touch()
    leader = int(os.environ[LEADER])

    def watch() -> None:
        while os.getppid() == leader:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="watch-leader", daemon=True).start()


def _ready_file(log: Path) -> Path:
    return log.with_suffix(".ready")


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that the system gives to nobody else while all processes get ready.

    The socket is bound and does not listen, so torch's store, which asks for `SO_REUSEADDR` too,
    can listen on the port.
    """
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", 0))
        yield int(found.getsockname()[1])


def _shared_environment(team: Team, port: int) -> dict[str, str]:
    """Of this process, which is the first one, and of the others but for their numbers."""
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": str(team.devices),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # else Fabric would change it
    }


def _python_path() -> str:
    """With the folder of this very package, wherever it was imported from."""
    here = str(Path(ifambench.__file__).resolve().parents[1])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _ended(rank: int, code: int, log: Path) -> EnvironmentProblem:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {lines[-1].strip()}" if lines else ""
    return EnvironmentProblem(
        f"process {rank} of the training ended with exit code {code}{last}", where=str(log)
    )
