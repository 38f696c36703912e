"""The committed leaderboard: Markdown, CSV and one HTML page in the results folder, and badges.

All are generated from the run records and the stored tables; `check` says whether they still follow
from them, and whether the records still follow from their tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ifambench.atomic import write_text_atomic
from ifambench.ranking import collect, rank
from ifambench.records.index import open_index
from ifambench.records.row import RunRow
from ifambench.reports.badges import badges
from ifambench.reports.leaderboard_page import render_page
from ifambench.reports.leaderboard_tables import (
    leaderboard_sections,
    render_csv,
    render_markdown,
)
from ifambench.verified import can_be_verified, differences, evidence_of, outcome

__all__ = [
    "Leaderboard",
    "build",
    "check",
    "collect",
    "leaderboard_sections",
    "rank",
    "render_csv",
    "render_markdown",
    "store",
    "write",
]

MARKDOWN_FILE, CSV_FILE, PAGE_FILE = "LEADERBOARD.md", "leaderboard.csv", "leaderboard.html"

_SHOWN = 5


@dataclass(frozen=True)
class Leaderboard:
    """The ranking and the files that show it.

    Attributes:
        frame: The ranking, see `ifambench.ranking.rank`.
        files: The text of each file.
    """

    frame: pd.DataFrame
    files: dict[Path, str]


def build(results_dir: Path, badge_dir: Path | None = None) -> Leaderboard:
    """The leaderboard of a results folder; what has not changed since last time is remembered.

    Args:
        results_dir: The folder with the runs.
        badge_dir: Where badges go; none when not given.

    Raises:
        UsageError: If the folder does not exist.
        EnvironmentProblem: If a record is damaged, or one training seed of a model is there twice.
    """
    index = open_index(results_dir)
    runs = collect(results_dir, index)
    made = _made(results_dir, badge_dir, runs, evidence_of(runs, index))
    index.save()
    return made


def store(made: Leaderboard) -> list[Path]:
    """Write the files and return their paths."""
    for path, text in made.files.items():
        write_text_atomic(path, text)
    return list(made.files)


def write(results_dir: Path, badge_dir: Path | None = None) -> list[Path]:
    """Write the files from the records below the folder and return their paths."""
    return store(build(results_dir, badge_dir))


def check(results_dir: Path, badge_dir: Path | None = None) -> list[str]:
    """What is out of date; empty when all is well.

    A leaderboard file that is missing or differs from what the records give, a suite whose ranked
    runs saw different data, and, for every complete run whose tables are stored, each table with
    another digest and each metric whose value, limits, n or version differ from a re-score.
    Everything is read and computed anew; nothing that was remembered counts.
    """
    runs = collect(results_dir)
    found = {run.place: differences(run) for run in runs if can_be_verified(run)}
    evidence = {place: outcome(texts) for place, texts in found.items()}
    made = _made(results_dir, badge_dir, runs, evidence)
    return [
        *_stale(made, results_dir, badge_dir),
        *_data_differences(runs),
        *(f"{place}: {text}" for place, texts in found.items() for text in texts),
    ]


def _made(
    results_dir: Path, badge_dir: Path | None, runs: list[RunRow], evidence: Mapping[str, str]
) -> Leaderboard:
    frame = rank(runs, evidence)
    files = {
        results_dir / MARKDOWN_FILE: render_markdown(frame),
        results_dir / CSV_FILE: render_csv(frame),
        results_dir / PAGE_FILE: render_page(frame, results_dir),
    }
    if badge_dir is not None:
        files |= {badge_dir / place: text for place, text in badges(frame).items()}
    return Leaderboard(frame, files)


def _stale(made: Leaderboard, results_dir: Path, badge_dir: Path | None) -> Iterator[str]:
    """Files that are missing, differ or should not be there."""
    command = "ifambench leaderboard"
    for path, text in made.files.items():
        is_ours = path.parent == results_dir
        name = path.name if is_ours else path.as_posix()
        if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
            models = _changed_models(path, text) if path.name == CSV_FILE else ""
            option = "" if is_ours else f" --badges {badge_dir}"
            yield f"{name} is stale{models}: run `{command}{option}`"
    for path in sorted(badge_dir.rglob("*.json")) if badge_dir else ():
        if path not in made.files:
            yield f"{path.as_posix()} is the badge of no ranked model: remove it"


def _changed_models(path: Path, text: str) -> str:
    """Suite, protocol and model of the lines of the CSV file that are not as they should be."""
    try:
        stored = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    lines = {*stored.splitlines(), *text.splitlines()[:1]} ^ set(text.splitlines())
    cells = [line.split(",") for line in lines]
    named = sorted({"/".join((*cell[:2], cell[3])) for cell in cells if len(cell) > 3})
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return f" ({', '.join(named[:_SHOWN])}{more})" if named else ""


def _data_differences(runs: Iterable[RunRow]) -> Iterator[str]:
    """Runs on the same variants of the same split must have seen the same pixels."""
    digests: dict[tuple[str, ...], dict[str, Path]] = {}
    for run in runs:
        board = (run.board, run.eval_split, *sorted(run.variants))
        if run.size == "default":
            digests.setdefault(board, {}).setdefault(run.data_digest, run.folder)
    for (suite_name, *_), folders in digests.items():
        if len(folders) > 1:
            places = ", ".join(folder.as_posix() for folder in folders.values())
            yield f"{suite_name}: runs saw different data (suite.data_digest): {places}"
