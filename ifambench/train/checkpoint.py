"""The state of an unfinished training on disk, complete enough to go on as if never stopped.

Weights, optimizer, loss scaler, averaged and best weights, random numbers, position and log. Read
with `weights_only=True`: tensors and plain values only.

Only torch's CPU generator is stored. A device's generator is seeded anew at every step from seed,
step and rank (`trainer`), so it needs no state.
"""

from __future__ import annotations

import pickle
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import torch

from ifambench.atomic import write_atomic
from ifambench.train.interrupts import Stop
from ifambench.train.selection import Best
from ifambench.train.state import Training

CHECKPOINT_SECONDS = 600.0
"""Longest time between two checkpoints, unless a step takes longer."""

_LARGEST_SHARE = 0.05  # of the time may go into checkpoints at the ends of short epochs

_DAMAGES = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, pickle.UnpicklingError),
)
"""What reading a damaged file, or one that is no checkpoint, may end in."""


class Keeper:
    """Saves the state when it is time to; only in the first process.

    Args:
        path: The file.
        key: Digest of everything that shapes the training.
        stop: Whether the training is to stop.
    """

    def __init__(self, path: Path, key: str, stop: Stop) -> None:
        self._path, self._key, self._stop = path, key, stop
        self._saved_at, self._took = time.monotonic(), 0.0

    def after_step(self, training: Training) -> None:
        """Save after a long time, and before the training stops.

        Raises:
            KeyboardInterrupt: If it is to stop.
        """
        if not training.fabric.is_global_zero:
            return
        if self._stop.asked or self._idle() >= CHECKPOINT_SECONDS:
            self._save(training)
        if self._stop.asked:
            raise KeyboardInterrupt

    def after_epoch(self, training: Training, last: bool) -> None:
        """Save, unless another epoch follows and saving takes long beside an epoch."""
        cheap = self._took <= _LARGEST_SHARE * self._idle()
        if training.fabric.is_global_zero and (last or cheap or self._stop.asked):
            self._save(training)

    def _idle(self) -> float:
        return time.monotonic() - self._saved_at

    def _save(self, training: Training) -> None:
        started = time.monotonic()
        save_checkpoint(self._path, self._key, training)
        self._saved_at = time.monotonic()
        self._took = self._saved_at - started


def save_checkpoint(path: Path, key: str, training: Training) -> None:
    """Write the state, whole or not at all.

    Args:
        path: The file.
        key: Digest of everything that shapes the training.
        training: Between two steps.
    """
    content = {
        "key": key,
        "step": training.step.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "precision": training.fabric.strategy.precision.state_dict(),
        "average": training.average.average,
        "best": None if training.best is None else vars(training.best),
        "rng": torch.get_rng_state(),
        "position": vars(training.position),
        "log": training.log,
    }
    write_atomic(path, lambda file: _dump(content, file))


def _dump(content: dict[str, Any], file: IO[bytes]) -> None:
    """`torch.save`, which turns the error of a full disk into one of its own."""
    try:
        torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def take_up(path: Path, key: str) -> tuple[dict[str, Any] | None, Path | None]:
    """What an unfinished training of this key has left; one of another key is kept beside.

    A file that is missing or damaged is no checkpoint: training starts anew.

    Args:
        path: Where the checkpoint lies; the first process alone may call this.
        key: Digest of everything that shapes the training.

    Returns:
        The content, if there is one, and where the other one was put, if there was one.
    """
    content, kept = _content(path), None
    if content is not None and content["key"] == key:
        return content, None
    if content is not None:
        kept = _beside(path, content["key"])
        path.replace(kept)
    if not _beside(path, key).is_file():
        return None, kept
    _beside(path, key).replace(path)
    content = _content(path)
    return (content if content is not None and content["key"] == key else None), kept


def _beside(path: Path, key: str) -> Path:
    return path.with_name(f"{path.stem}-{key[:16]}{path.suffix}")


def restore(content: dict[str, Any] | None, training: Training) -> bool:
    """Restore the state in place on all ranks, from what the first one has taken up.

    Returns:
        Whether there was any.
    """
    content = training.fabric.broadcast(content)
    if content is None:
        return False
    training.step.load_state_dict(content["step"])
    training.optimizer.load_state_dict(content["optimizer"])
    training.fabric.strategy.precision.load_state_dict(content["precision"])
    training.average.load(content["average"])
    training.best = Best.of(content["best"])
    torch.set_rng_state(content["rng"])
    vars(training.position).update(content["position"])
    training.log.extend(content["log"])
    return True


def _content(path: Path) -> dict[str, Any] | None:
    """The content; None unless every byte is as it was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch does not look at the check sums
                return None
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return content if isinstance(content["key"], str) else None
    except _DAMAGES:
        return None
