"""Results as one CSV document: the rows behind them with all digits, else the tables as shown.

A name is a text for spreadsheets too: one that they would compute gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ifambench.reports.section import Section

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"[=@\t\r]|[+-](?!$|[\d.][\w .,±%+@()\[\]-]*$)")
"""What begins like one, but for a dash and for numbers with a sign, a unit or an interval."""
_ROWS = ("rows", "metrics", "record")
"""Where the plain data of a result holds its rows; a record has them among its metrics."""

Rows = Sequence[Mapping[str, Any]]


def rows_of(data: Any) -> Rows | None:
    """The flat rows of a result, or None when its data are no table.

    >>> rows_of({"verdict": "better", "rows": [{"metric": "accuracy", "a": 0.5}]})
    [{'metric': 'accuracy', 'a': 0.5}]
    """
    if isinstance(data, Mapping):
        inner = next((data[key] for key in _ROWS if key in data), None)
        return None if inner is None else rows_of(inner)
    if isinstance(data, list) and data and all(_is_flat(row) for row in data):
        return data
    return None


def rows_csv(rows: Rows) -> str:
    """Rows as CSV; a column for each key in order of appearance, undefined values empty."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    return _text(names, ([row.get(name) for name in names] for row in rows))


def frame_csv(frame: pd.DataFrame, **options: Any) -> str:
    """A frame as CSV without its index, undefined values empty; options as of `to_csv`."""
    text: str = frame.map(inert).to_csv(index=False, lineterminator="\n", **options)
    return text


def inert(value: Any) -> Any:
    """The value; a text that a spreadsheet would take for a formula behind an apostrophe.

    >>> inert("=cmd()"), inert("-0.4 pp"), inert("-"), inert(-0.4)
    ("'=cmd()", '-0.4 pp', '-', -0.4)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def sections_csv(sections: Sequence[Section]) -> str:
    """Tables as they are shown, in one rectangle.

    Several tables get a first column `table` with their key, and a column is empty in the rows of
    the tables that do not have it. Headings that a table has twice are numbered.
    """
    rows = [
        {"table": section.key} | dict(zip(_headings(section), cells, strict=True))
        for section in sections
        for cells in section.rows
    ]
    if len(sections) == 1:
        rows = [{key: row[key] for key in row if key != "table"} for row in rows]
    return rows_csv(rows)


def _headings(section: Section) -> list[str]:
    found: list[str] = []
    for name in section.header:
        again = found.count(name) + sum(item.startswith(f"{name} (") for item in found)
        found.append(f"{name} ({again + 1})" if name in found else name)
    return found


def _is_flat(row: Any) -> bool:
    return isinstance(row, Mapping) and not any(
        isinstance(value, Mapping | list | tuple) for value in row.values()
    )


def _text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([inert(name) for name in names])
    writer.writerows([inert(value) for value in row] for row in rows)
    return buffer.getvalue()
