"""`leaderboard.html`: the ranking as one page that needs no network and no script.

With the script, tables are sorted by their headings and filtered by suite, protocol, backbone and
evidence. Without it they stand in the order of the ranks. Nothing in the page depends on the
machine or the time: the same records, tables and reports give the same bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from ifambench.ranking import BOARD, TEST_ORACLE
from ifambench.reports import numbers
from ifambench.reports.backbone import class_order
from ifambench.reports.leaderboard_tables import (
    COLUMNS,
    anchor,
    board_title,
    value_text,
)
from ifambench.reports.report_links import report_links
from ifambench.reports.rows import IN_POINTS, label, with_arrow
from ifambench.reports.templating import environment

WIDTH, _MARGIN = 120, 4
"""Width of the bar of an interval and what it keeps free at its ends, in CSS pixels."""

_ORACLE = (
    "Selected on the test split",
    "These runs chose their epoch or their settings by the scores of the test split. They show "
    "what is there to be found, not what a method finds, and are compared with nothing above.",
)
_APART = ("Not ranked", "Partial and interrupted runs, other sizes and protocols without a rank.")


@dataclass(frozen=True)
class Cell:
    """A number as text, and as what it is sorted by: empty where it is undefined."""

    text: str
    key: str


@dataclass(frozen=True)
class Bar:
    """An interval as a line with a dot, in pixels."""

    low: float
    dot: float
    high: float


@dataclass(frozen=True)
class Entry:
    """One model of a table; `leads` where a group of models that share a rank begins."""

    row: dict[str, Any]
    rank: str
    leads: bool
    primary: Cell
    interval: str
    bar: Bar | None
    others: tuple[Cell, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Board:
    """A table of the page.

    Attributes:
        key: Its anchor.
        title: The heading.
        note: A sentence below it, or an empty text.
        primary: Name of the metric that ranks.
        axis: What the two ends of the bars stand for; empty without bars.
        columns: Names of the other metrics.
        entries: The rows.
    """

    key: str
    title: str
    note: str
    primary: str
    axis: tuple[str, ...]
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]


def render_page(frame: pd.DataFrame, root: Path) -> str:
    """The page of a ranking.

    Args:
        frame: The ranking, see `ifambench.ranking.rank`.
        root: The folder in which the page will lie; links to reports are relative to it.
    """
    rows = frame.to_dict("records")
    links = report_links(root, (place for row in rows for place in _places(row)))
    content = {
        "boards": _boards(rows, links),
        "choices": {
            "suite": sorted({row["suite"] for row in rows}),
            "protocol": sorted({row["protocol"] for row in rows}),
            "backbone": sorted({row["backbone"] for row in rows}, key=class_order),
            "evidence": sorted({row["evidence"] for row in rows}),
        },
        "models": len(rows),
        "runs": sum(row["seeds"] for row in rows),
        "width": WIDTH,
    }
    return environment().get_template("leaderboard.html.j2").render(content) + "\n"


def _boards(rows: list[dict[Any, Any]], links: dict[str, str]) -> list[Board]:
    """One per suite, protocol and metric that ranks, then those without ranks."""
    found = []
    ranked = [row for row in rows if not row["unranked"]]
    for key, part in groupby(ranked, key=lambda row: tuple(row[name] for name in BOARD)):
        found.append(_ranked_board(key, list(part), links))
    apart = [row for row in rows if row["unranked"]]
    for is_oracle, (title, note) in ((True, _ORACLE), (False, _APART)):
        these = [row for row in apart if (row["selection"] == TEST_ORACLE) is is_oracle]
        if these:
            found.append(_board(title, note, "primary metric", these, links, None))
    return found


def _ranked_board(
    key: tuple[str, str, str], rows: list[dict[Any, Any]], links: dict[str, str]
) -> Board:
    return _board(board_title(*key), "", with_arrow(key[2]), rows, links, _ends(rows))


def _board(
    title: str,
    note: str,
    primary: str,
    rows: list[dict[Any, Any]],
    links: dict[str, str],
    ends: tuple[float, float] | None,
) -> Board:
    used = [name for name in COLUMNS if any(_is_other(row, name) for row in rows)]
    entries, before = [], None
    shared = Counter(row["rank"] for row in rows if ends)
    for row in rows:
        rank = f"{row['rank']}{'=' * (shared[row['rank']] > 1)}" if ends else ""
        entries.append(
            Entry(
                row=row,
                rank=rank,
                leads=bool(ends) and before not in (None, row["rank"]),
                primary=_primary(row, is_named=ends is None),
                interval=_interval(row),
                bar=_bar(row, ends),
                others=tuple(_cell(row, name, name) for name in used),
                links=_links(row, links),
            )
        )
        before = row["rank"]
    axis = tuple(f"{end:.1f}" for end in ends or ())
    columns = tuple(COLUMNS[name].name for name in used)
    return Board(anchor(title), title, note, primary, axis, columns, tuple(entries))


def _is_other(row: dict[Any, Any], name: str) -> bool:
    """Whether a metric has a value that does not stand in the column of the primary one."""
    return name != row["primary"] and not pd.isna(row[f"{name}_mean"])


def _primary(row: dict[Any, Any], *, is_named: bool) -> Cell:
    """The metric that ranks, with its name where the rows of a table have different ones."""
    cell = _cell(row, row["primary"], "primary")
    return Cell(f"{cell.text} ({label(row['primary'])})", cell.key) if is_named else cell


def _cell(row: dict[Any, Any], metric: str, column: str) -> Cell:
    mean = row[f"{column}_mean"]
    return Cell(value_text(row, metric), "" if pd.isna(mean) else f"{mean:.6f}")


def _interval(row: dict[Any, Any]) -> str:
    low, high = row["primary_ci_low"], row["primary_ci_high"]
    if pd.isna(low) or pd.isna(high):
        return numbers.UNDEFINED
    if row["primary"] in IN_POINTS:
        return numbers.points_interval(low, high, 3)
    return numbers.interval(low, high, 3)


def _ends(rows: list[dict[Any, Any]]) -> tuple[float, float]:
    """The ends of the bars: tenths around all intervals; a fraction stays within 0 and 1."""
    names = ("primary_ci_low", "primary_mean", "primary_ci_high")
    found = [row[name] for row in rows for name in names if not pd.isna(row[name])]
    low, high = (math.floor(10 * min(found)) / 10, math.ceil(10 * max(found)) / 10)
    if rows[0]["primary"] not in IN_POINTS:
        means = [row["primary_mean"] for row in rows]
        low, high = max(low, min(0.0, *means)), min(high, max(1.0, *means))
    return (low, high) if high > low else (low, low + 0.1)


def _bar(row: dict[Any, Any], ends: tuple[float, float] | None) -> Bar | None:
    """The interval on the axis; what lies beyond an end stops there."""
    if ends is None or pd.isna(row["primary_ci_low"]) or pd.isna(row["primary_ci_high"]):
        return None
    low, high = ends
    shares = [
        min(max((row[name] - low) / (high - low), 0.0), 1.0)
        for name in ("primary_ci_low", "primary_mean", "primary_ci_high")
    ]
    return Bar(*(round(_MARGIN + share * (WIDTH - 2 * _MARGIN), 1) for share in shares))


def _places(row: dict[Any, Any]) -> list[str]:
    return str(row["runs"]).split(";")


def _links(row: dict[Any, Any], links: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Address and name of the report of each run; the name is its folder, `seed0`."""
    places = [place for place in _places(row) if place in links]
    return tuple((links[place], place.rpartition("/")[2]) for place in places)
