"""The short state beside the progress bar."""

from __future__ import annotations

import time

from torch import Tensor

from ifambench.train.state import Training

_SECONDS = 1.0


class Notes:
    """Epoch, losses and validation accuracy as text; losses are read from the device now and then.

    Args:
        epochs: Epochs of the training.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._losses, self._read_at = "", -_SECONDS

    def text(self, training: Training, found: dict[str, Tensor]) -> str:
        """Such as `epoch 3/8, loss 4.21 (stage 1 0.66, stage 2 0.32), val 0.91, worst 0.72`.

        Args:
            training: Its position and log.
            found: Losses of the step that has just ended.
        """
        if time.monotonic() - self._read_at >= _SECONDS:
            self._losses, self._read_at = _losses(found), time.monotonic()
        words = [f"epoch {training.position.epoch + 1}/{self._epochs}", self._losses]
        last = training.log[-1] if training.log else {}
        if "val_accuracy" in last:
            words += [f"val {last['val_accuracy']:.3f}"]
            words += [f"worst group {last['val_worst_group_accuracy']:.3f}"]
        return ", ".join(words)


def _losses(found: dict[str, Tensor]) -> str:
    terms = [
        f"{name.removeprefix('class_').replace('_', ' ')} {float(value.detach()):.2f}"
        for name, value in found.items()
        if name.startswith("class_")
    ]
    total = f"loss {float(found['total'].detach()):.3f}"
    return f"{total} ({', '.join(terms)})" if terms else total
