"""Text tables with one line per image: CSV, or columns divided by blanks."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ifambench.errors import EnvironmentProblem


class Line(NamedTuple):
    """One line of a table."""

    where: str
    """File and line number."""
    cells: Mapping[str, str]
    """Column -> text without blanks around it; only the columns asked for."""


class _Row(NamedTuple):
    number: int
    cells: list[str]


@dataclass(frozen=True)
class Form:
    """How a table is written.

    Attributes:
        separator: A character, or `whitespace`.
        names: Columns of a table without a header.
        first: Name of the first column where the header leaves it out, as CelebA's does.
    """

    separator: str = ","
    names: Sequence[str] = ()
    first: str = ""


_COMMA = Form()


def read_table(path: Path, wanted: Collection[str] | None, form: Form = _COMMA) -> Iterator[Line]:
    """The lines of a table.

    In a table divided by blanks, a first line with one number (the count of lines) is checked, not
    taken for an image.

    Args:
        path: The file, UTF-8 with or without a byte order mark.
        wanted: Columns to give, as far as the table has them; None for all.
        form: Separator and header.

    Raises:
        EnvironmentProblem: If the file cannot be read, lists nothing, has a line of another width
            than its header, or not as many lines as it says; with file and line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _rows(file, form.separator)
            yield from _lines(path, rows, wanted, form)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnvironmentProblem(f"cannot read the table: {error}", where=str(path)) from error


def columns_of(path: Path, form: Form = _COMMA) -> list[str]:
    """The names of the columns; of an empty file none.

    Raises:
        EnvironmentProblem: If the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _header(_rows(file, form.separator), form)[0]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnvironmentProblem(f"cannot read the table: {error}", where=str(path)) from error


def _rows(file: Iterator[str], separator: str) -> Iterator[_Row]:
    """The lines that are not empty, cut into cells."""
    if separator == "whitespace":
        cut = ((number, line.split()) for number, line in enumerate(file, 1))
    else:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        cut = ((reader.line_num, cells) for cells in reader)
    for number, cells in cut:
        if cells:
            yield _Row(number, [cell.strip() for cell in cells])


def _header(rows: Iterator[_Row], form: Form) -> tuple[list[str], int | None, Iterator[_Row]]:
    """The columns, the count of lines if the file tells it, and the lines that follow."""
    if form.names:
        return list(form.names), None, rows
    head, count = next(rows, None), None
    blanks = form.separator == "whitespace"
    if head is not None and blanks and len(head.cells) == 1 and head.cells[0].isdecimal():
        count, head = int(head.cells[0]), next(rows, None)
    if head is None:
        return [], count, rows
    second = next(rows, None)
    if second is None:
        return head.cells, count, rows
    short = blanks and form.first and len(second.cells) == len(head.cells) + 1
    return [form.first, *head.cells] if short else head.cells, count, chain([second], rows)


def _lines(
    path: Path, rows: Iterator[_Row], wanted: Collection[str] | None, form: Form
) -> Iterator[Line]:
    columns, count, rows = _header(rows, form)
    chosen = [(k, name) for k, name in enumerate(columns) if wanted is None or name in wanted]
    names = [name for _, name in chosen if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise EnvironmentProblem(f'the table has two columns "{twice}"', where=str(path))
    found = 0
    for row in rows:
        where = f"{path}:{row.number}"
        if len(row.cells) != len(columns):
            raise EnvironmentProblem("the line has not as many cells as the header", where=where)
        found += 1
        yield Line(where, {name: row.cells[k] for k, name in chosen})
    if not found:
        raise EnvironmentProblem("the table lists no image", where=str(path))
    if count is not None and count != found:
        raise EnvironmentProblem(
            f"the table has {found:,} lines, its first line promises {count:,}", where=str(path)
        )


def refuse_columns(
    path: Path, wanted: Collection[str], found: Collection[str], wanted_by: str
) -> None:
    """Raise an EnvironmentProblem that names the first of the wanted columns that is missing."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise EnvironmentProblem(
            f'the table has no column "{missing[0]}"',
            where=f"{path}, wanted by {wanted_by}",
            choices=[name for name in found if name],
        )
