"""Around long work: SIGTERM ends it as Ctrl-C does, and one process of several leads it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from ifambench.cli.console import stderr
from ifambench.cli.progress_view import shown_progress
from ifambench.errors import RunInterrupted

if TYPE_CHECKING:
    from ifambench.progress import Progress
    from ifambench.request import RunRequest


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block SIGTERM, which schedulers send, ends the work as Ctrl-C does.

    Raises:
        RunInterrupted: If the user stopped the work before it could say how to resume it.
    """
    with _terminated_as_interrupted():
        try:
            yield
        except KeyboardInterrupt:
            raise RunInterrupted("interrupted", next_step="give the same command again") from None


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def leading(request: RunRequest) -> Iterator[Progress]:
    """The progress of the process that leads; any other one trains with it, then leaves.

    Raises:
        typer.Exit: In a process that follows, when its part is done.
    """
    from ifambench import pipeline

    if pipeline.follows(request):
        pipeline.follow(request)
        raise typer.Exit
    with shown_progress(stderr()) as progress:
        yield progress
