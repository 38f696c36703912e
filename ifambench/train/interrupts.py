"""Ctrl-C and SIGTERM wait for the end of a training step, so that its state can be kept."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPATIENT_SECONDS = 1.0


class Stop:
    """Whether the user, or a scheduler, wants the training to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._since = 0.0

    def ask(self, *_: Any) -> None:
        """Handle a signal; a second one a moment later stops at once."""
        if self.asked and time.monotonic() - self._since > _IMPATIENT_SECONDS:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self._since = True, time.monotonic()


@contextmanager
def gentle_stop() -> Iterator[Stop]:
    """Within the block signals are noted; handlers are set in the main thread only.

    Raises:
        KeyboardInterrupt: At the end of the block, if a signal came that nothing in it obeyed.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = [signal.signal(name, stop.ask) for name in _SIGNALS]
    try:
        yield stop
    finally:
        for name, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(name, handler)
    if stop.asked:
        raise KeyboardInterrupt
