"""What a run was made with: package versions, source commit, machine.

Never a guess: what is not known is None or left out.
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from ifambench.records.schema import Environment

PACKAGES = (
    "captum",
    "filelock",
    "huggingface-hub",
    "jinja2",
    "lightning-fabric",
    "matplotlib",
    "numpy",
    "pandas",
    "pillow",
    "pydantic",
    "rich",
    "safetensors",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "typer",
)
"""The direct dependencies, as in pyproject.toml."""

_SOURCE = Path(__file__).resolve().parents[2]
_CODE = ("ifambench", "suites")
_SECONDS = 10


def collect_environment(device: str, dtype: str, threads: int) -> Environment:
    """The software and hardware of this process.

    Args:
        device: Name of the device as the user knows it, for instance `cpu` or `NVIDIA H200`.
        dtype: Number format of the forward passes.
        threads: Threads that torch uses.
    """
    commit = _git_commit(_SOURCE)
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages=_versions(),
        device=device,
        dtype=dtype,
        threads=threads,
        git_commit=commit,
        git_dirty=None if commit is None else _git_dirty(_SOURCE),
    )


def utc_now() -> str:
    """The time now, as `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def peak_memory_bytes() -> int | None:
    """Largest resident memory of this process so far, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git_commit(source: Path) -> str | None:
    """The commit of `source`, or None unless it is itself the top of a checkout of ifambench.

    A package installed below some other project's checkout must not report that project's commit.
    """
    if not (source / "pyproject.toml").is_file():
        return None
    top = _git(source, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != source:
        return None
    return _git(source, "rev-parse", "--verify", "--quiet", "HEAD") or None


def _git_dirty(source: Path) -> bool | None:
    """Whether code or suites differ from the commit; results written beside them do not count."""
    changes = _git(source, "status", "--porcelain", "--", *_CODE)
    return None if changes is None else bool(changes)


def _git(source: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(source), *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
