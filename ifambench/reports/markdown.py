"""`report.md`: the same tables for GitHub."""

from __future__ import annotations

from ifambench.records.schema import RunRecord
from ifambench.records.store import LoadedRun
from ifambench.reports import summary
from ifambench.reports.explanation_differences import differences_tables
from ifambench.reports.explanation_protocol import explanation_cost, explanation_protocol
from ifambench.reports.protocol import (
    cost_section,
    protocol_section,
    provenance_section,
    recipe_section,
)
from ifambench.reports.section import Section, escape_markdown, fenced, to_markdown
from ifambench.reports.tables import detail_tables, summary_tables


def render_markdown(run: LoadedRun) -> str:
    """The report of a run as GitHub Markdown."""
    record = run.record
    blocks = [
        f"# {escape_markdown(summary.title(record))}\n",
        *(f"**{escape_markdown(note)}**\n" for note in _notices(record)),
        *(f"{escape_markdown(sentence)}\n" for sentence in summary.sentences(record)),
        _warnings(summary.warnings(record)),
        *(to_markdown(section) for section in report_sections(run)),
        f"## Reproduce\n\n{fenced(record.command, 'sh')}\n",
    ]
    return "\n".join(block for block in blocks if block)


def report_sections(run: LoadedRun) -> list[Section]:
    """All tables of a report, the most important first; those without rows are left out."""
    record = run.record
    about = (cost_section, protocol_section, recipe_section, provenance_section)
    found = [
        *summary_tables(record),
        *differences_tables(run),
        explanation_protocol(run),
        explanation_cost(record),
        *detail_tables(record),
        *(make(record) for make in about),
    ]
    return [section for section in found if section.rows]


def report_lines(record: RunRecord) -> list[str]:
    """What a report says in words: notices, findings, warnings and the command."""
    warnings = (f"Warning: {text}" for text in summary.warnings(record))
    said = [*_notices(record), *summary.sentences(record), *warnings]
    return [*said, f"Reproduce: {record.command}"]


def _notices(record: RunRecord) -> list[str]:
    notes = (summary.status_note(record), summary.selection_note(record))
    return [note for note in notes if note]


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return ""
    lines = "\n".join(f"- {escape_markdown(text)}" for text in warnings)
    return f"## Warnings\n\n{lines}\n"
