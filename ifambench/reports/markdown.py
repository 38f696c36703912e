"""`report.md`: the same tables for GitHub."""

from __future__ import annotations

from ifambench.records.store import LoadedRun
from ifambench.reports import summary
from ifambench.reports.protocol import (
    cost_section,
    protocol_section,
    provenance_section,
    recipe_section,
)
from ifambench.reports.section import escape_markdown, to_markdown
from ifambench.reports.tables import detail_tables, summary_tables


def render_markdown(run: LoadedRun) -> str:
    """The report of a run as GitHub Markdown."""
    record = run.record
    notes = (summary.status_note(record), summary.selection_note(record))
    about = (cost_section, protocol_section, recipe_section, provenance_section)
    sections = [
        *summary_tables(record),
        *detail_tables(record),
        *(section for make in about if (section := make(record)).rows),
    ]
    blocks = [
        f"# {escape_markdown(summary.title(record))}\n",
        *(f"**{escape_markdown(note)}**\n" for note in notes if note),
        *(f"{escape_markdown(sentence)}\n" for sentence in summary.sentences(record)),
        _warnings(summary.warnings(record)),
        *(to_markdown(section) for section in sections),
        f"## Reproduce\n\n```sh\n{record.command}\n```\n",
    ]
    return "\n".join(block for block in blocks if block)


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return ""
    lines = "\n".join(f"- {escape_markdown(text)}" for text in warnings)
    return f"## Warnings\n\n{lines}\n"
