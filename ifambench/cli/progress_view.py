"""Progress on stderr: bars in a terminal, a line per phase anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from ifambench.progress import Progress

_QUIET_SECONDS = 60.0


@contextmanager
def shown_progress(console: Console) -> Iterator[Progress]:
    """The progress that suits the console, closed when the block ends."""
    progress = RichProgress(console) if console.is_terminal else PlainProgress(console)
    try:
        yield progress
    finally:
        progress.close()


class RichProgress(Progress):
    """A bar per phase with count, time passed, time left and the latest note."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
        )
        self._task: TaskID | None = None

    def start(self, phase: str, total: int) -> None:
        """Begin a bar below those of the phases that ended."""
        self._bars.start()
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._task = self._bars.add_task(phase, total=max(total, 1), note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar."""
        if self._task is None:
            return
        self._bars.advance(self._task, steps)
        if note:
            self._bars.update(self._task, note=note)

    def message(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(Text(text))

    def close(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


class PlainProgress(Progress):
    """A line when a phase has ended, and one a minute while it lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""

    def start(self, phase: str, total: int) -> None:
        """End the phase before; be silent about the new one for a while."""
        self._end()
        self._phase, self._total, self._done, self._note = phase, total, 0, ""
        self._started = self._spoke = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count, and speak once a minute."""
        if not self._phase:
            return
        self._done += steps
        self._note = note or self._note
        if time.monotonic() - self._spoke >= _QUIET_SECONDS:
            self._spoke = time.monotonic()
            self._line(f"{self._done:,} of {self._total:,}")

    def message(self, text: str) -> None:
        """A line of its own, after that of a phase that has ended."""
        if self._phase and self._done >= self._total:
            self._end()
        self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """End the last phase."""
        self._end()

    def _end(self) -> None:
        if self._phase:
            complete = self._done >= self._total
            self._line(f"{self._done:,}" if complete else f"{self._done:,} of {self._total:,}")
        self._phase = ""

    def _line(self, count: str) -> None:
        seconds = time.monotonic() - self._started
        note = f" ({self._note})" if self._note else ""
        self._say(f"{self._phase}: {count} in {seconds:.1f} s{note}")
