"""`report.html`: one page that needs no network, for screen, phone, dark mode and paper."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ifambench.records.store import LoadedRun, load_curves, load_gallery, load_training
from ifambench.reports import figures, summary
from ifambench.reports.gallery import gallery_groups
from ifambench.reports.protocol import (
    cost_section,
    protocol_section,
    provenance_section,
    recipe_section,
)
from ifambench.reports.svg import INK, SERIES
from ifambench.reports.tables import detail_tables, summary_tables

if TYPE_CHECKING:
    from jinja2 import Environment

_SUMMARY = ("groups", "averages", "background", "explanations", "further")
_TEMPLATES = Path(__file__).parent / "templates"
_DARK_SERIES = (
    *("#7fb2dc", "#e8896b", "#86c596", "#c79ad8"),
    *("#d9b25a", "#6cc6c6", "#e08fb4", "#b9bd6f"),
)


def render_html(run: LoadedRun) -> str:
    """The page of a run; what was not stored is named as missing."""
    return _environment().get_template("run.html.j2").render(_content(run))


def _content(run: LoadedRun) -> dict[str, Any]:
    record = run.record
    tables = dict.fromkeys(_SUMMARY) | {item.key: item for item in summary_tables(record)}
    return {
        "record": record,
        "title": summary.title(record),
        "notices": [
            text for text in (summary.status_note(record), summary.selection_note(record)) if text
        ],
        "key_numbers": summary.key_numbers(record),
        "sentences": summary.sentences(record),
        "warnings": summary.warnings(record),
        "tables": tables,
        "details": detail_tables(record),
        "about": [protocol_section(record), recipe_section(record), provenance_section(record)],
        "cost": cost_section(record),
        "figures": _figures(run),
        "gallery": gallery_groups(record, load_gallery(run.folder)),
        "light": dict(enumerate(SERIES)),
        "dark": dict(enumerate(_DARK_SERIES)),
        "ink": INK,
    }


def _figures(run: LoadedRun) -> dict[str, str]:
    """All charts as inline SVG; those without data are empty."""
    from markupsafe import Markup

    record, tables = run.record, run.record.tables
    curves = load_curves(run.folder, tables.get("curves"))
    training = load_training(run.folder, tables.get("training"))
    drawn = {
        "groups": figures.group_bars(record),
        "matrix": figures.label_background_matrix(record, run.predictions),
        "variants": figures.variant_bars(record),
        "deletion": figures.curve_chart(record, curves, "deletion"),
        "insertion": figures.curve_chart(record, curves, "insertion"),
        "loss": figures.training_chart(training, "loss"),
        "accuracy": figures.training_chart(training, "accuracy"),
    }
    # The SVG is ours; every text of the record in it was escaped by matplotlib or by to_svg.
    return {name: Markup(text) for name, text in drawn.items()}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
