"""Results as one CSV document: the rows behind them with all digits, else the tables as shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ifambench.reports.section import Section

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
    writer.writerow(names)
    writer.writerows(rows)
    return buffer.getvalue()
