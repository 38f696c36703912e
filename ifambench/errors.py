"""Errors a user can cause or fix: what is wrong, where, the valid choices, the next command.

Every class carries the exit code of the command line contract, so that `cli.main` maps an
error to an exit status without knowing where it was raised. A bug in ifambench is *not* an
`IfamBenchError`; it leaves with code 4 and a traceback in a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

EXIT_OK = 0
EXIT_CHECK_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_INTERNAL = 4
EXIT_PARTIAL = 5
EXIT_INTERRUPTED = 130


class IfamBenchError(Exception):
    """Base of all errors that end in one clear message instead of a traceback.

    Args:
        what: What is wrong, one sentence without a final full stop.
        where: The file and key, option or path that caused it.
        choices: The valid values, in the order to show them.
        next_step: The command or action that fixes it.
    """

    exit_code: int = EXIT_INTERNAL

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        choices: Sequence[str] = (),
        next_step: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.choices = tuple(choices)
        self.next_step = next_step

    def lines(self) -> list[str]:
        """The message as lines: what, then where, choices and next step where they exist."""
        found = [self.what]
        if self.where:
            found.append(f"where: {self.where}")
        if self.choices:
            found.append(f"valid: {', '.join(self.choices)}")
        if self.next_step:
            found.append(f"next:  {self.next_step}")
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())


class CheckFailed(IfamBenchError):
    """A gate or a check did not hold (exit code 1)."""

    exit_code = EXIT_CHECK_FAILED


class UsageError(IfamBenchError):
    """A wrong name, option or configuration file (exit code 2)."""

    exit_code = EXIT_USAGE


class EnvironmentProblem(IfamBenchError):
    """Data, weights, a package or a device is missing or damaged (exit code 3)."""

    exit_code = EXIT_ENVIRONMENT


class RunInterrupted(IfamBenchError):
    """The user stopped the run; `next_step` names the command that resumes it (exit code 130)."""

    exit_code = EXIT_INTERRUPTED


def unknown_name(kind: str, name: str, valid: Iterable[str], *, list_command: str) -> UsageError:
    """The error for a name that is not in a catalogue, with the nearest valid names.

    Args:
        kind: What the name should be, for instance `suite`.
        name: What the user wrote.
        valid: All valid names.
        list_command: The command that lists them.
    """
    choices = sorted(valid)
    hint = did_you_mean(name, choices)
    return UsageError(f'unknown {kind} "{name}"{hint}', choices=choices, next_step=list_command)


def did_you_mean(name: str, choices: list[str]) -> str:
    """The nearest choices as a question in brackets; empty when none is near."""
    close = difflib.get_close_matches(name.lower(), choices, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
