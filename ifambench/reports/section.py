"""A table before it has a format, and its rendering for the terminal and for Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Align = Literal["left", "right"]
Kind = Literal["", "worst", "floor", "total"]

ALWAYS = 9
INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Column:
    """A column of a section.

    Attributes:
        name: The heading.
        align: Text is left, numbers are right.
        priority: Where the width does not suffice, columns with the lowest priority go first;
            those with `ALWAYS` stay.
        note: A remark that is shown with the column.
    """

    name: str
    align: Align = "right"
    priority: int = 5
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A titled table of text cells; the first column names the row.

    Attributes:
        key: Short name, for anchors.
        title: The heading.
        columns: The columns.
        rows: The cells.
        remarks: Remarks to show below, one sentence each.
        kinds: What is special about each row (same length as `rows`, or empty).
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = field(default=())

    @property
    def header(self) -> tuple[str, ...]:
        """The headings."""
        return tuple(column.name for column in self.columns)

    @property
    def aligns(self) -> tuple[Align, ...]:
        """The alignment of each column."""
        return tuple(column.align for column in self.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks of the columns and of the table."""
        return (*(column.note for column in self.columns if column.note), *self.remarks)

    def kind(self, index: int) -> Kind:
        """What is special about a row."""
        return self.kinds[index] if self.kinds else ""

    def only(self, indices: list[int]) -> Section:
        """The section with some of its columns."""
        return Section(
            self.key,
            self.title,
            tuple(self.columns[index] for index in indices),
            tuple(tuple(row[index] for index in indices) for row in self.rows),
            self.remarks,
            self.kinds,
        )

    def without_empty_columns(self, empty: str) -> Section:
        """The section without the columns in which every cell is `empty`."""
        used = [
            index
            for index in range(len(self.columns))
            if index == 0 or any(row[index] != empty for row in self.rows)
        ]
        return self.only(used)


_STYLES: dict[Kind, str] = {"": "", "worst": "bold", "floor": "dim", "total": ""}


def to_rich(section: Section, width: int = 80) -> Table:
    """The section for a terminal of `width` columns.

    Cells are never cut: where the table is too wide, whole columns are left out, lowest priority
    first, and the caption names them. What is still too wide is wrapped.
    """
    droppable = [index for index, item in enumerate(section.columns) if item.priority < ALWAYS]
    droppable.sort(key=lambda index: (-section.columns[index].priority, index))
    dropped: list[int] = []
    table = _rich_table(section, dropped)
    while droppable and _rich_width(table) > width:
        dropped.append(droppable.pop())
        table = _rich_table(section, sorted(dropped))
    return table


def to_markdown(section: Section) -> str:
    """The section as a GitHub table under a heading of level 2, with its notes below."""
    marks = ["---:" if align == "right" else ":---" for align in section.aligns]
    lines = [_markdown_row(section.header), "| " + " | ".join(marks) + " |"]
    lines += [_markdown_row(row) for row in section.rows]
    notes = [escape_markdown(note) for note in section.notes]
    return "\n\n".join([f"## {escape_markdown(section.title)}", "\n".join(lines), *notes]) + "\n"


def escape_markdown(text: str) -> str:
    """The text so that GitHub shows it as it is, also within a table.

    Underscores within a word are no emphasis; only the others are escaped.
    """
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)  # an entity would be shown as its sign
    text = re.sub(r"([\\`*|~$])", r"\\\1", text.replace("](", "]\\("))
    text = re.sub(r"(?<![^\W_])_+|_+(?![^\W_])", lambda run: run[0].replace("_", "\\_"), text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text).replace("\r", " ").replace("\n", " ")


def fenced(text: str, language: str = "") -> str:
    """The text as a block of code that no backticks in it can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _markdown_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def _rich_table(section: Section, dropped: list[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kept = section.only([k for k in range(len(section.columns)) if k not in dropped])
    names = [section.columns[index].name for index in dropped]
    missing = [f"Not shown for lack of width: {', '.join(names)}."] if names else []
    notes = "\n".join([*kept.notes, *missing])
    table = Table(
        title=Text(section.title, style="bold"),
        title_justify="left",
        caption=Text(notes) if notes else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, 1),
    )
    for column in kept.columns:
        table.add_column(Text(column.name), justify=column.align, overflow="fold")
    for index, row in enumerate(kept.rows):
        table.add_row(*[Text(cell) for cell in row], style=_STYLES[section.kind(index)])
    return table


def _rich_width(table: Table) -> int:
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10_000)
    return Measurement.get(console, console.options, table).maximum
