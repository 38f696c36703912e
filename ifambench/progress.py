"""What long work tells about itself: phases, steps and messages, without knowing the terminal.

The library reports to a `Progress`; the base class is silent. The command line replaces it by a
rich progress bar on stderr (`ifambench.cli.console`).
"""

from __future__ import annotations


class Progress:
    """Silent progress; subclass to show it."""

    def start(self, phase: str, total: int) -> None:
        """A phase of `total` steps begins; the one before has ended."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` steps of the current phase are done; `note` is a short state, such as a loss."""

    def message(self, text: str) -> None:
        """A line worth keeping, for instance that a stored part is reused."""

    def close(self) -> None:
        """All work has ended, in success or not."""
