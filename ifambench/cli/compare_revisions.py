"""Runs as they are committed in a git revision: `main`, `HEAD~1`, or `REV:PATH`.

Nothing is checked out and no shell is involved. A name is turned into a commit by `git rev-parse
--verify` after `--end-of-options`, so it can never be an option; files are read as blobs by their
hash, so no filter, hook or attribute of the repository runs, and only the files of run records are
written, below a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.base import TABLES

if TYPE_CHECKING:
    from ifambench.records.store import LoadedRun

RECORD = "run.json"
FILES = (RECORD, *(f"{name}.csv.gz" for name in TABLES))
"""The files of a run that a comparison reads."""

_PLAIN_FILES = ("100644", "100755")
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


@dataclass(frozen=True)
class _Repository:
    """A git repository and the folder in it that holds the results, relative to its top."""

    top: Path
    results: PurePosixPath


def is_revision(text: str, results: Path) -> bool:
    """Whether git knows the word as a commit; False without git or a repository."""
    try:
        _commit(text, _repository(results))
    except (UsageError, EnvironmentProblem):
        return False
    return True


def revision_runs(
    text: str,
    results: Path,
    holds: Callable[[Path], bool],
    check: Callable[[list[Path]], None],
) -> list[LoadedRun]:
    """The runs of a revision, one per training seed.

    Args:
        text: `REV`, for the results folder in that revision, or `REV:PATH`, with the path from the
            top of the repository as git has it.
        results: The folder of results in the working tree; it says which repository is meant.
        holds: Whether a run folder is wanted.
        check: Raises when the run folders are not those of one model.

    Raises:
        UsageError: If the revision is unknown, or has no such run.
        EnvironmentProblem: If git or the repository is missing.
    """
    from ifambench.records.store import load_run

    name, colon, path = text.partition(":")
    repository = _repository(results)
    commit = _commit(name, repository)
    below = PurePosixPath(path.strip("/")) if colon else repository.results
    blobs = _blobs(commit, below, repository.top)
    folders = {place.parent for place in blobs if place.name == RECORD}
    folders = {folder for folder in folders if holds(Path(folder))}
    if not folders:
        raise _no_run(name, below, blobs)
    check([Path(folder) for folder in sorted(folders)])
    wanted = {place: blob for place, blob in blobs.items() if place.parent in folders}
    with tempfile.TemporaryDirectory(prefix="ifambench-revision-") as root:
        for place, content in _contents(wanted, repository.top):
            file = Path(root, *place.parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        found = [(folder, load_run(Path(root, *folder.parts))) for folder in sorted(folders)]
    return [replace(run, folder=Path(f"{name}:{folder}")) for folder, run in found]


def _repository(results: Path) -> _Repository:
    """The repository that the results are in.

    Raises:
        EnvironmentProblem: If git is not installed or there is no repository.
    """
    place = results.resolve()
    start = next(folder for folder in (place, *place.parents) if folder.is_dir())
    done = _git(start, "rev-parse", "--show-toplevel")
    if done.returncode:
        raise EnvironmentProblem(
            f"no git repository to read a revision from: {_first_line(done.stderr)}",
            where=str(start),
            next_step="name run folders, or run this in a clone of the repository",
        )
    top = Path(os.fsdecode(done.stdout.rstrip(b"\n"))).resolve()
    return _Repository(top, PurePosixPath(place.relative_to(top).as_posix()))


def _commit(name: str, repository: _Repository) -> str:
    """The full hash of a commit.

    Raises:
        UsageError: If there is no such commit.
    """
    failed = f'"{name}" is neither a run, a model nor a revision'
    if not name or name.startswith("-"):
        raise UsageError(failed, next_step="name a branch, a tag or a commit")
    done = _git(
        repository.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
    )
    commit = done.stdout.decode("ascii", "replace").strip()
    if done.returncode or not commit.isalnum():
        raise UsageError(
            failed,
            where=str(repository.top),
            next_step="git branch --all; a shallow clone has to fetch the revision first",
        )
    return commit


def _blobs(commit: str, below: PurePosixPath, top: Path) -> dict[PurePosixPath, str]:
    """The files of run records below a folder of a commit, with the hash of each."""
    where = [] if below == PurePosixPath(".") else [str(below)]
    done = _git(top, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *where)
    if done.returncode:
        raise EnvironmentProblem(f"git cannot list {below}: {_first_line(done.stderr)}")
    found = {}
    for entry in filter(None, done.stdout.split(b"\0")):
        facts, _, name = entry.partition(b"\t")
        mode, kind, blob = facts.decode("ascii").split()
        place = PurePosixPath(os.fsdecode(name))
        if mode in _PLAIN_FILES and kind == "blob" and place.name in FILES and _inside(place):
            found[place] = blob
    return found


def _inside(place: PurePosixPath) -> bool:
    """A path that cannot leave the folder it is written below."""
    return not place.is_absolute() and not {"..", ".git"} & set(place.parts)


def _contents(blobs: dict[PurePosixPath, str], top: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The content of each file, by one process for all."""
    asked = "".join(f"{blob}\n" for blob in blobs.values()).encode("ascii")
    done = _git(top, "cat-file", "--batch", stdin=asked)
    rest = memoryview(done.stdout)
    for place, blob in blobs.items():
        end = bytes(rest[:200]).find(b"\n")
        facts = bytes(rest[:end]).split()
        if done.returncode or len(facts) != 3 or facts[0] != blob.encode("ascii"):
            raise EnvironmentProblem(
                f"git cannot read {place}: {_first_line(done.stderr) or 'it is not here'}",
                where=str(top),
                next_step="git fetch (a partial clone lacks files of old revisions)",
            )
        start = end + 1
        size = int(facts[2])
        yield place, bytes(rest[start : start + size])
        rest = rest[start + size + 1 :]


def _no_run(name: str, below: PurePosixPath, blobs: dict[PurePosixPath, str]) -> UsageError:
    kinds = sorted({str(place.parents[1]) for place in blobs if place.name == RECORD})
    return UsageError(
        f"the revision {name} has no such run in {below}",
        choices=kinds[:8],
        next_step="check --suite, --model and --results"
        if kinds
        else f"git log --oneline -- {below}",
    )


def _git(folder: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder.

    Raises:
        EnvironmentProblem: If git is not installed.
    """
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            input=stdin,
            capture_output=True,
            check=False,
            env={**os.environ, **_ENVIRONMENT},
        )
    raise EnvironmentProblem(
        "git is not installed, so no revision can be read",
        next_step="install git, or name run folders",
    )


def _first_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else ""
