"""Markdown within the limits of GitHub: job summaries and comments on pull requests.

A job summary holds 1 MiB per step, whatever the number of commands in it, and is dropped whole
when it is larger; a comment holds 65,536 characters. What does not fit is left out by whole tables
and named, so that no number is ever cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from ifambench.reports import numbers
from ifambench.reports.section import Section, escape_markdown, to_markdown

STEP_BYTES = 1024 * 1024
COMMENT_CHARACTERS = 65_536
"""Counted as bytes of UTF-8 here, which are never fewer."""

_BETWEEN = "\n\n"


def job_summary(
    heading: str, sections: Sequence[Section], lines: Sequence[str] = (), limit: int = STEP_BYTES
) -> str:
    """Heading, tables and text as Markdown of at most `limit` bytes.

    Args:
        heading: The title, or an empty text.
        sections: The tables, the most important first.
        lines: Text below the tables; it is kept when tables are left out.
        limit: Bytes of UTF-8. Nothing is returned where not even heading and text fit.
    """
    tables = [(section.title, to_markdown(section).rstrip()) for section in sections]
    return _within(limit, _title(heading), tables, _paragraphs(lines))


def comment(
    heading: str,
    sections: Sequence[Section],
    lines: Sequence[str] = (),
    limit: int = COMMENT_CHARACTERS,
) -> str:
    """The same for a comment: text first, the first table open, the others folded."""
    tables = [
        (section.title, _folded(section) if index else to_markdown(section).rstrip())
        for index, section in enumerate(sections)
    ]
    return _within(limit, [*_title(heading), *_paragraphs(lines)], tables, [])


def _within(limit: int, before: list[str], tables: list[tuple[str, str]], after: list[str]) -> str:
    """All texts, without the tables that do not fit; every one is tried in its turn."""
    kept, left_out = [text for _, text in tables], ""
    if _size([*before, *kept, *after]) > limit:
        reserve = _size([*before, *after, _left_out([title for title, _ in tables], limit)])
        kept, missing = [], []
        for title, text in tables:
            if reserve + _size([*kept, text]) <= limit:
                kept.append(text)
            else:
                missing.append(title)
        left_out = _left_out(missing, limit)
    blocks = [*before, *kept, *after, *([left_out] if left_out else [])]
    text = _BETWEEN.join(blocks)
    return text if len(text.encode()) <= limit else ""


def _size(blocks: Sequence[str]) -> int:
    """Bytes of the blocks with what stands between and behind them."""
    return sum(len(block.encode()) + len(_BETWEEN) for block in blocks)


def _left_out(titles: Sequence[str], limit: int) -> str:
    names = escape_markdown(", ".join(titles))
    return f"Left out to stay within {numbers.count(limit)} bytes: {names}."


def _title(heading: str) -> list[str]:
    return [f"# {escape_markdown(heading)}"] if heading else []


def _paragraphs(lines: Sequence[str]) -> list[str]:
    return [escape_markdown(line) for line in lines if line]


def _folded(section: Section) -> str:
    """The table behind its title; a heading inside would repeat it."""
    _, _, table = to_markdown(section).rstrip().partition(_BETWEEN)
    title = section.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<details>\n<summary>{title}</summary>\n\n{table}\n\n</details>"
