"""How long a download waits and how often it tries; and why a mirror failed."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of a download.

    Attributes:
        connect_seconds: For name, connection and TLS of one request.
        idle_seconds: Longest time without a single byte.
        slow_seconds: The attempt ends when `slow_bytes` did not come within this time.
        slow_bytes: The floor of the throughput, per `slow_seconds`.
        attempts: Attempts in a row per mirror that bring less than `worthwhile_bytes`.
        worthwhile_bytes: An attempt that brings so much does not count.
        backoff_seconds: Wait before the second attempt; doubled for each further one.
        most_backoff_seconds: Longest wait.
        redirects: Redirects that are followed.
        lock_seconds: How long another process that fetches the same suite is waited for.
    """

    connect_seconds: float = 20.0
    idle_seconds: float = 60.0
    slow_seconds: float = 120.0
    slow_bytes: int = MIB // 4
    attempts: int = 3
    worthwhile_bytes: int = 32 * MIB
    backoff_seconds: float = 1.0
    most_backoff_seconds: float = 30.0
    redirects: int = 5
    lock_seconds: float = 6 * 3600.0

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after attempt 0, 1, ... has failed."""
        return min(self.backoff_seconds * 2.0 ** min(attempt, 30), self.most_backoff_seconds)


class MirrorFailed(Exception):
    """A mirror did not give the file.

    Args:
        reason: Why, for the user.
        again: Whether another attempt may help.
        status: The HTTP status, if there was an answer.
    """

    def __init__(self, reason: str, *, again: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.status = status


def mebibytes(count: int) -> int:
    """A number of bytes in MiB, rounded up: the steps of progress."""
    return -(-count // MIB)


def amount(count: int) -> str:
    """A number of bytes for people.

    >>> amount(999), amount(1_500), amount(791_918_971)
    ('999 bytes', '1.5 kB', '791.9 MB')
    """
    if count < 1000:
        return f"{count} bytes"
    value, units = count / 1000, ["kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}"
