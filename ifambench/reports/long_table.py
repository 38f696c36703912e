"""A table of thousands of rows as text: the columns of `section.to_rich`, without its wait.

rich lays out every cell by itself, which is seconds for ten thousand rows. Here a line is never
wrapped: what does not fit after the columns of low priority are left out runs over the edge.
"""

from __future__ import annotations

from collections.abc import Iterator

from ifambench.reports.section import ALWAYS, Align, Section

LONG = 300
"""Rows from which a table is written this way."""

_GAP = "  "


def long_table(section: Section, width: int) -> tuple[list[str], Iterator[str]]:
    """The section for a terminal of `width` columns.

    Returns:
        The lines of the heading: title, names of the columns and a rule; then the lines of the
        rows and the notes.
    """
    widths = [
        max(map(_width, column)) for column in zip(section.header, *section.rows, strict=True)
    ]
    kept = _fitting(section, widths, width)
    dropped = [name for index, name in enumerate(section.header) if index not in kept]
    shown, sizes = section.only(kept), [widths[index] for index in kept]
    missing = [f"Not shown for lack of width: {', '.join(dropped)}."] if dropped else []
    rule = "─" * (sum(sizes) + len(_GAP) * (len(sizes) - 1))
    lines = _lines(shown, sizes, [*shown.notes, *missing])
    return [section.title, _line(shown.header, sizes, shown.aligns), rule], lines


def _lines(section: Section, sizes: list[int], notes: list[str]) -> Iterator[str]:
    for row in section.rows:
        yield _line(row, sizes, section.aligns)
    yield from notes


def _fitting(section: Section, widths: list[int], width: int) -> list[int]:
    """The columns that stay: those of the lowest priority go first, as in `to_rich`."""
    kept = list(range(len(widths)))
    priorities = [column.priority for column in section.columns]
    droppable = [index for index in kept if priorities[index] < ALWAYS]
    droppable.sort(key=lambda index: (-priorities[index], index))
    while droppable and sum(widths[i] + len(_GAP) for i in kept) - len(_GAP) > width:
        kept.remove(droppable.pop())
    return kept


def _line(cells: tuple[str, ...], sizes: list[int], aligns: tuple[Align, ...]) -> str:
    padded = [
        _padded(cell, size, align) for cell, size, align in zip(cells, sizes, aligns, strict=True)
    ]
    return _GAP.join(padded).rstrip()


def _padded(cell: str, size: int, align: Align) -> str:
    blanks = " " * (size - _width(cell))
    return blanks + cell if align == "right" else cell + blanks


def _width(text: str) -> int:
    """Columns of the terminal that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
