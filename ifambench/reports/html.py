"""`report.html`: one page that needs no network, for screen, phone, dark mode and paper."""

from __future__ import annotations

from typing import Any

from ifambench.records.store import LoadedRun, load_curves, load_gallery, load_training
from ifambench.reports import figures, summary
from ifambench.reports.battery_tables import battery_tables
from ifambench.reports.curve_figures import curve_charts
from ifambench.reports.explanation_differences import differences_tables
from ifambench.reports.explanation_protocol import explanation_cost, explanation_protocol
from ifambench.reports.gallery import gallery_cases, gallery_groups
from ifambench.reports.noise_tables import noise_tables
from ifambench.reports.protocol import (
    cost_section,
    protocol_section,
    provenance_section,
    recipe_section,
)
from ifambench.reports.svg import INK, SERIES
from ifambench.reports.tables import detail_tables, summary_tables
from ifambench.reports.templating import environment

_SUMMARY = (
    *("groups", "averages", "background", "explanations"),
    *("evidence", "location", "sanity", "further"),
)
_DARK_SERIES = (
    *("#7fb2dc", "#e8896b", "#86c596", "#c79ad8"),
    *("#d9b25a", "#6cc6c6", "#e08fb4", "#b9bd6f"),
)


def render_html(run: LoadedRun) -> str:
    """The page of a run; what was not stored is named as missing."""
    return environment().get_template("run.html.j2").render(_content(run))


def _content(run: LoadedRun) -> dict[str, Any]:
    record = run.record
    differences, gallery = differences_tables(run), load_gallery(run.folder)
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
        "battery": battery_tables(record),
        "noise": noise_tables(record),
        "differences": differences[:1],
        "explaining": [explanation_protocol(run), explanation_cost(record)],
        "curves": _curves(run),
        "details": [*detail_tables(record), *differences[1:]],
        "about": [protocol_section(record), recipe_section(record), provenance_section(record)],
        "cost": cost_section(record),
        "figures": _figures(run),
        "gallery": gallery_groups(record, gallery),
        "cases": gallery_cases(record, gallery),
        "light": dict(enumerate(SERIES)),
        "dark": dict(enumerate(_DARK_SERIES)),
        "ink": INK,
    }


def _figures(run: LoadedRun) -> dict[str, str]:
    """All charts as inline SVG; those without data are empty."""
    from markupsafe import Markup

    record, tables = run.record, run.record.tables
    training = load_training(run.folder, tables.get("training"))
    drawn = {
        "groups": figures.group_bars(record),
        "matrix": figures.label_background_matrix(record, run.predictions),
        "variants": figures.variant_bars(record),
        "loss": figures.training_chart(training, "loss"),
        "accuracy": figures.training_chart(training, "accuracy"),
    }
    # The SVG is ours; every text of the record in it was escaped by matplotlib or by to_svg.
    return {name: Markup(text) for name, text in drawn.items()}


def _curves(run: LoadedRun) -> list[tuple[str, str]]:
    """The charts of deletion and insertion, as markup, with their captions."""
    from markupsafe import Markup

    stored = load_curves(run.folder, run.record.tables.get("curves"))
    return [(Markup(chart.svg), chart.caption) for chart in curve_charts(run.record, stored)]
