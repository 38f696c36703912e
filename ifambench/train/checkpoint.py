"""The state of an unfinished training on disk: weights, optimizer, random numbers, log.

Written whole after every epoch. Read with `weights_only=True`: tensors and plain values only.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ifambench.records.files import write_bytes_atomic


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on.

    Attributes:
        key: Digest of everything that shapes the training.
        epoch: Finished epochs.
        step: Model and method state.
        optimizer: Its moments.
        log: One row per finished epoch.
    """

    key: str
    epoch: int
    step: nn.Module
    optimizer: torch.optim.Optimizer
    log: list[dict[str, float]]


def save_checkpoint(path: Path, state: Checkpoint) -> None:
    """Write the state and the random generator."""
    content = {
        "key": state.key,
        "epoch": state.epoch,
        "step": state.step.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "rng": _rng_state(),
        "log": state.log,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes_atomic(path, buffer.getvalue())


def load_checkpoint(
    path: Path, key: str, step: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, list[dict[str, float]]]:
    """Restore the state in place, and the random generator.

    A file that is missing, damaged or of another training is no checkpoint: training starts anew.

    Returns:
        Finished epochs and their log rows.
    """
    content = _read(path)
    if content is None or content["key"] != key:
        return 0, []
    step.load_state_dict(content["step"])
    optimizer.load_state_dict(content["optimizer"])
    _restore_rng(content["rng"])
    return content["epoch"], content["log"]


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, OSError):
        return None
    return content


def _rng_state() -> list[torch.Tensor]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *cuda]


def _restore_rng(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states[1:])
