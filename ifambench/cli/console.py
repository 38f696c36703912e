"""What commands print: results to stdout, progress and errors to stderr.

Outside a terminal a table is as wide as COLUMNS says, else 160 columns. NO_COLOR is honoured by
rich. When the reader of a pipe goes away, printing goes on into the void: the exit code of a
command never depends on who reads its output.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

from ifambench.cli.options import Format

if TYPE_CHECKING:
    from ifambench.errors import IfamBenchError
    from ifambench.reports.section import Section

WIDTH = 160
"""Columns outside a terminal; rich's 80 would cut the tables of a CI log."""

_ANNOTATIONS = 10  # GitHub shows no more of each kind in one step
_LEVELS = ("error", "warning", "notice")


class _PatientConsole(Console):
    """A console that outlives its reader."""

    def on_broken_pipe(self) -> None:
        """Send what is still printed nowhere."""
        silence(self.file)


def silence(stream: Any) -> None:
    """Let a stream whose reader is gone write nowhere, also when Python flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file descriptor
        void = os.open(os.devnull, os.O_WRONLY)
        os.dup2(void, stream.fileno())
        os.close(void)


def stdout() -> Console:
    """The console for results."""
    return _PatientConsole(width=_width(sys.stdout), highlight=False, markup=False)


def stderr() -> Console:
    """The console for progress, notes and errors."""
    return _PatientConsole(width=_width(sys.stderr), highlight=False, markup=False, stderr=True)


def _width(stream: TextIO | None) -> int | None:
    """None where rich finds it out, from the terminal or COLUMNS."""
    with contextlib.suppress(ValueError):  # a closed stream
        if stream is not None and stream.isatty():
            return None
    return None if os.environ.get("COLUMNS", "").isdecimal() else WIDTH


def say(*lines: str) -> None:
    """Lines of results on stdout, never wrapped."""
    _write(stdout(), lines)


def note(*lines: str) -> None:
    """Lines about the work on stderr, never wrapped."""
    with _lost_if_full():
        _write(stderr(), lines)


@contextlib.contextmanager
def _lost_if_full() -> Iterator[None]:
    """Where stderr cannot be written, nobody can be told; the exit code must stay right."""
    try:
        yield
    except OSError:
        silence(sys.stderr)


def show_error(error: IfamBenchError) -> None:
    """What is wrong, then where, the valid choices and the next step below it."""
    first, *rest = error.lines()
    heading = Text("error: ", style="bold red").append(first, style="not bold default")
    with _lost_if_full():
        stderr().print(heading, soft_wrap=True)
    note(*(f"       {line}" for line in rest))


def emit(
    style: Format,
    data: Any,
    sections: Sequence[Section],
    *,
    heading: str = "",
    lines: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> None:
    """Write one result to stdout in the format asked for.

    Args:
        style: The format.
        data: The result as plain data, for `json`; `csv` takes its rows, where it has some.
        sections: The result as tables, for the other formats.
        heading: What stands above the tables.
        lines: Text below the tables.
        annotations: For `github`, a level (`error`, `warning`, `notice`) for each text.
    """
    if style is Format.json:
        say(json_text(data))
    elif style is Format.table:
        _write_tables(sections, heading, lines)
    elif style is Format.github:
        _write_github(sections, heading, lines, annotations or {})
    else:
        say(_text(style, data, sections, heading, lines).rstrip("\n"))


def _text(
    style: Format, data: Any, sections: Sequence[Section], heading: str, lines: Sequence[str]
) -> str:
    """The result in a format that is one text."""
    if style is Format.markdown:
        return _markdown(sections, heading, lines)
    if style is Format.comment:
        from ifambench.reports.job_summary import comment

        return comment(heading, sections, lines)
    return _csv(data, sections, lines) if style is Format.csv else _latex(sections, lines)


def json_text(data: Any) -> str:
    """Strict JSON: undefined numbers are null."""
    escape = "utf" not in (sys.stdout.encoding or "utf-8").lower()  # else characters would be lost
    return json.dumps(_plain(data), indent=2, ensure_ascii=escape, allow_nan=False)


def _plain(data: Any) -> Any:
    """The data with NaN and infinities as None, and numpy scalars as Python's."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if hasattr(data, "item"):
        data = data.item()
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _write(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _write_tables(sections: Sequence[Section], heading: str, lines: Sequence[str]) -> None:
    from ifambench.reports.long_table import LONG, long_table
    from ifambench.reports.section import to_rich

    console = stdout()
    if heading:
        console.print(Text(heading, style="bold"), soft_wrap=True)
    for index, section in enumerate(sections):
        if index or heading:
            console.print()
        if len(section.rows) < LONG:
            console.print(to_rich(section, console.width))
        else:
            _write_long(console, *long_table(section, console.width))
    if lines and sections:
        console.print()
    _write(console, lines)


def _write_long(console: Console, heading: Sequence[str], lines: Iterable[str]) -> None:
    title, names, rule = heading
    for text in (title, names):
        console.print(Text(text, style="bold"), soft_wrap=True)
    try:
        console.file.write("\n".join([rule, *lines]) + "\n")
    except BrokenPipeError:
        silence(console.file)


def _markdown(sections: Sequence[Section], heading: str, lines: Sequence[str]) -> str:
    from ifambench.reports.section import escape_markdown, to_markdown

    blocks = [f"# {escape_markdown(heading)}"] if heading else []
    blocks += [to_markdown(section).rstrip() for section in sections]
    return "\n\n".join([*blocks, *(escape_markdown(line) for line in lines)])


def _csv(data: Any, sections: Sequence[Section], lines: Sequence[str]) -> str:
    from ifambench.reports.csv_text import rows_csv, rows_of, sections_csv

    rows = rows_of(_plain(data))
    if rows is not None:
        return rows_csv(rows)
    return sections_csv(sections) if sections else "\n".join(lines)


def _latex(sections: Sequence[Section], lines: Sequence[str]) -> str:
    """The tables alone: a paper has its own headings."""
    from ifambench.reports.latex import PREAMBLE, escape_latex, to_latex

    if not sections:
        return "\n\n".join(escape_latex(line) for line in lines)
    return "\n".join([PREAMBLE, *(to_latex(section) for section in sections)])


def _write_github(
    sections: Sequence[Section], heading: str, lines: Sequence[str], annotations: Mapping[str, str]
) -> None:
    """Annotations to stdout; the text to the job summary, or to stdout where there is none."""
    from ifambench.reports.job_summary import STEP_BYTES, job_summary

    say(*_annotation_lines(annotations))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        say(job_summary(heading, sections, lines))
        return
    from ifambench.errors import EnvironmentProblem

    try:
        with open(summary, "a", encoding="utf-8", newline="\n") as file:
            room = STEP_BYTES - file.tell() - len("\n\n")  # of the step, not of this command
            text = job_summary(heading, sections, lines, room)
            file.write(f"{text}\n\n" if text else "")
        if not text:
            note("the job summary of this step is full: nothing was added to it")
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write the job summary: {error.strerror or error}",
            where=f"GITHUB_STEP_SUMMARY={summary}",
            next_step="unset GITHUB_STEP_SUMMARY, or use --format markdown",
        ) from error


def _annotation_lines(annotations: Mapping[str, str]) -> Iterator[str]:
    gravest_first = sorted(annotations.items(), key=lambda item: _LEVELS.index(item[1]))
    for text, level in gravest_first[:_ANNOTATIONS]:
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        yield f"::{level} title=ifambench::{escaped}"
