"""What the words of `ifambench compare A B` mean: paths of runs, models, revisions of results."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ifambench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from ifambench.records.store import LoadedRun


@dataclass(frozen=True)
class Place:
    """Where models are looked up: the folder of results, and the suite and model, if given."""

    results: Path
    suite: str | None = None
    model: str | None = None

    def holds(self, run: Path) -> bool:
        """Whether a run folder, `.../SUITE@N/MODEL/PROTOCOL/SEED`, is of that suite and model."""
        parts = run.parts[-4:]
        if len(parts) < 4:
            return self.suite is None and self.model is None
        suite = parts[0].partition("@")[0]
        return self.suite in (None, suite, parts[0]) and self.model in (None, parts[1])


@dataclass(frozen=True)
class Side:
    """One word of the command.

    Attributes:
        runs: One per training seed.
        origin: The revision they come from; empty for runs of the working tree.
    """

    runs: list[LoadedRun]
    origin: str = ""


def read_side(text: str, place: Place) -> Side:
    """The runs that a word names.

    Args:
        text: A run folder or a file in it, a folder with the seeds of one model, a model, or a
            revision of the results, `REV` or `REV:PATH`.
        place: Where models are looked up.

    Raises:
        UsageError: If there is no such run, or more than one model, suite or protocol.
        EnvironmentProblem: If git is needed and missing, or a record is damaged.
    """
    from ifambench.records.store import load_run

    path = Path(text)
    if path.exists() or (len(path.parts) > 1 and ":" not in text):
        folders = [folder for folder in _below(path) if place.holds(folder.resolve())]
    elif (found := _revision_side(text, place)) is not None:
        return found
    else:
        folders = _of_model(text, place)
    if not folders:
        return Side([load_run(path)])  # explains what is near by
    _check_one_kind(text, folders)
    return Side([load_run(folder) for folder in folders])


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


def _revision_side(text: str, place: Place) -> Side | None:
    """The runs of a revision, or None where the word is not one: it is the name of a model then.

    A model of that name comes first, unless --model says that the word is no model.
    """
    from ifambench.cli.compare_revisions import is_revision, revision_runs

    if ":" not in text:
        if place.model is None and _models(place, text):
            return None
        if not (place.model or is_revision(text, place.results)):
            return None
    elif re.match(r"(ckpt|hf-hub|timm):", text) and _models(place, text):
        return None
    runs = revision_runs(text, place.results, place.holds, partial(_check_one_kind, text))
    return Side(runs, text)


def _below(path: Path) -> list[Path]:
    """The run folders a path stands for."""
    from ifambench.records.store import find_runs

    return find_runs(path) if path.is_dir() else []


def _models(place: Place, name: str) -> list[Path]:
    """The run records of a model below the results."""
    suites = f"{glob.escape(place.suite) if place.suite else '*'}@*"
    return sorted(place.results.glob(f"{suites}/{glob.escape(name)}/*/seed*/run.json"))


def _of_model(name: str, place: Place) -> list[Path]:
    """The run folders of a model below the results.

    Raises:
        UsageError: If there are none; names the models there are.
    """
    found = _models(place, name)
    if not found:
        suites = f"{glob.escape(place.suite) if place.suite else '*'}@*"
        models = {path.parts[-4] for path in place.results.glob(f"{suites}/*/*/seed*/run.json")}
        error = unknown_name("run or model", name, models, list_command="ifambench list runs")
        error.where = f"{place.results}/{place.suite}@*" if place.suite else str(place.results)
        raise error
    return [path.parent for path in found]


def _check_one_kind(text: str, folders: list[Path]) -> None:
    kinds = sorted({str(folder.parent) for folder in folders})
    if len(kinds) > 1:
        raise UsageError(
            f'"{text}" stands for several models, suites or protocols',
            choices=kinds,
            next_step="name one of these folders, or add --suite NAME and --model NAME",
        )
