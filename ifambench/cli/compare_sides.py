"""What the two words of `ifambench compare A B` mean: paths of runs, or names of models."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ifambench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from ifambench.records.store import LoadedRun


def stored_runs(text: str, results: Path, suite: str | None) -> list[LoadedRun]:
    """The runs that a side names, one per training seed.

    Args:
        text: A run folder or a file in it, a folder with the seeds of one model, or a model.
        results: Where models are looked up.
        suite: The suite in which a model is looked up; any when None.

    Raises:
        UsageError: If there is no such run, or more than one model, suite or protocol.
    """
    from ifambench.records.store import load_run

    path = Path(text)
    if path.exists() or len(path.parts) > 1:
        folders = _below(path)
    else:
        folders = _of_model(text, results, suite)
    if not folders:
        return [load_run(path)]  # explains what is near by
    _check_one_kind(text, folders)
    return [load_run(folder) for folder in folders]


def matching_seeds(
    a: Sequence[LoadedRun], b: Sequence[LoadedRun]
) -> tuple[list[LoadedRun], list[LoadedRun], list[str]]:
    """Both sides cut to the seeds they share, and a sentence about those left out.

    Two single runs are taken as they are, and so are several runs without a common seed.

    Raises:
        UsageError: If one side is a single run whose seed the other side does not have.
    """
    seeds_a, seeds_b = ({run.record.seed for run in side} for side in (a, b))
    common = seeds_a & seeds_b
    if len(a) == len(b) == 1 or (not common and min(len(a), len(b)) > 1):
        return list(a), list(b), []
    if not common:
        raise UsageError(
            "the two sides have no training seed in common",
            choices=[str(run.folder) for run in (*a, *b)],
            next_step="name two of these run folders",
        )
    left_out = sorted(seeds_a ^ seeds_b)
    text = f"seeds that only one side has are left out: {', '.join(map(str, left_out))}"
    kept = [[run for run in side if run.record.seed in common] for side in (a, b)]
    return kept[0], kept[1], [text] if left_out else []


def _below(path: Path) -> list[Path]:
    """The run folders a path stands for."""
    from ifambench.records.store import find_runs

    return find_runs(path) if path.is_dir() else []


def _of_model(name: str, results: Path, suite: str | None) -> list[Path]:
    """The run folders of a model below the results.

    Raises:
        UsageError: If there are none; names the models there are.
    """
    suites = f"{glob.escape(suite) if suite else '*'}@*"
    found = sorted(results.glob(f"{suites}/{glob.escape(name)}/*/seed*/run.json"))
    if not found:
        models = {path.parts[-4] for path in results.glob(f"{suites}/*/*/seed*/run.json")}
        error = unknown_name("run or model", name, models, list_command="ifambench list runs")
        error.where = f"{results}/{suite}@*" if suite else str(results)
        raise error
    return [path.parent for path in found]


def _check_one_kind(text: str, folders: list[Path]) -> None:
    kinds = sorted({str(folder.parent) for folder in folders})
    if len(kinds) > 1:
        raise UsageError(
            f'"{text}" stands for several models, suites or protocols',
            choices=kinds,
            next_step="name one of these folders, or add --suite NAME",
        )
