"""Deletion and insertion curves: one pair of charts per operator.

Few explainers are all drawn alike. Of many, those that every report should let compare (the
model's own mask, Grad-CAM, the random floor) are strong, the others are thin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from ifambench.metrics.deletion import is_floor, operator_of
from ifambench.records.schema import RunRecord
from ifambench.reports.figures import drawing, line_styles
from ifambench.reports.rows import explainers, row, shown
from ifambench.reports.svg import FONT_SIZE, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CurveKind = Literal["deletion", "insertion"]

HIGHLIGHTS = ("ifam-mask", "grad-cam")
"""Explainers that stay strong among many."""

_FEW = 8
_NORMAL = 1.96
"""Standard errors to either side of the mean that a band spans."""

_SCORES = {"predicted": "predicted class", "label": "labelled class"}
_VERBS = {"deletion": "removed", "insertion": "inserted"}
_CAPTIONS = {
    "deletion": "Deletion{}: the lower the curve, the more the removed patches mattered.",
    "insertion": "Insertion{}: the higher the curve, the more the inserted patches suffice.",
}


@dataclass(frozen=True)
class CurveChart:
    """A chart as SVG with the words below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class _Line:
    name: str
    colour: str
    dash: str
    strong: bool


def curve_charts(record: RunRecord, curves: pd.DataFrame | None) -> list[CurveChart]:
    """Deletion and insertion of every operator, that of the run first; none without curves."""
    if curves is None or curves.empty:
        return []
    operators = dict.fromkeys(operator_of(name) for name in explainers(record))
    kinds: tuple[CurveKind, ...] = ("deletion", "insertion")
    return [
        CurveChart(svg, _caption(curves, kind, operator))
        for operator in operators
        for kind in kinds
        if (svg := curve_chart(record, curves, kind, operator))
    ]


def curve_chart(
    record: RunRecord, curves: pd.DataFrame | None, kind: CurveKind, operator: str = ""
) -> str:
    """Mean curves of the explainers under one operator over all images, with 95 % bands.

    Args:
        record: The run, for the order of the explainers.
        curves: The stored curves; without the columns of standard errors there are no bands.
        kind: `deletion` or `insertion`.
        operator: Of the labels, such as `@drop`; empty for that of the run.
    """
    if curves is None or curves.empty:
        return ""
    frame = curves[curves["group"] == "all"]
    known = set(frame["explainer"])
    names = [name for name in explainers(record) if name in known and operator_of(name) == operator]
    if not names:
        return ""
    lines = _lines(names)
    with drawing(3.1 + 0.22 * ((len(names) + 1) // 2)) as (figure, axes):
        for line in reversed(lines):  # the strong ones come first, so they lie above
            _draw(axes, frame[frame["explainer"] == line.name].sort_values("fraction"), kind, line)
        axes.set_xlabel(f"share of patches {_VERBS[kind]}, most relevant first")
        axes.set_ylabel(f"probability of the {_target(record)}")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        handles, labels = axes.get_legend_handles_labels()
        small = FONT_SIZE - 1
        figure.legend(
            handles[::-1], labels[::-1], loc="outside lower center", ncols=2, fontsize=small
        )
        name = "-".join(filter(None, (kind, operator.lstrip("@"))))
        return to_svg(figure, name, _description(record, names, kind))


def _lines(names: Sequence[str]) -> list[_Line]:
    """How each explainer is drawn, the strong ones first."""
    few = len(names) <= _FEW
    strong = [name for name in names if few or _is_highlight(name)]
    ordered = [*strong, *(name for name in names if name not in strong)]
    styles = zip(ordered, line_styles(ordered), strict=True)
    return [_Line(name, colour, dash, name in strong) for name, (colour, dash) in styles]


def _is_highlight(name: str) -> bool:
    return is_floor(name) or name.partition("@")[0] in HIGHLIGHTS


def _draw(axes: Axes, part: pd.DataFrame, kind: CurveKind, line: _Line) -> None:
    title = f"{line.name} (floor)" if is_floor(line.name) else line.name
    width, opacity = (2.0, 1.0) if line.strong else (1.1, 0.8)
    axes.plot(
        part["fraction"],
        part[kind],
        line.dash,
        color=line.colour,
        label=title,
        linewidth=width,
        alpha=opacity,
    )
    if line.strong and f"{kind}_se" in part and part[f"{kind}_se"].notna().any():
        half = _NORMAL * part[f"{kind}_se"].astype(float)
        low, high = (part[kind] - half).clip(0, 1), (part[kind] + half).clip(0, 1)
        axes.fill_between(part["fraction"], low, high, color=line.colour, alpha=0.15, linewidth=0)


def _target(record: RunRecord) -> str:
    return _SCORES.get(str(record.protocol.explain.get("target", "predicted")), "target class")


def _caption(curves: pd.DataFrame, kind: CurveKind, operator: str) -> str:
    under = f" under the operator {operator.lstrip('@')}" if operator else ""
    bands = f"{kind}_se" in curves and curves[f"{kind}_se"].notna().any()
    parts = [_CAPTIONS[kind].format(under), "The dotted line is the random floor."]
    if bands:
        parts.append("Bands: mean and 1.96 standard errors to either side, over images.")
    return " ".join(parts)


def _description(record: RunRecord, names: Sequence[str], kind: CurveKind) -> str:
    found = ((name, row(record, f"{kind}_auc", explainer=name, group="all")) for name in names)
    cells = [f"{name} {shown(item).value}" for name, item in found if item is not None]
    return f"{kind.capitalize()} curves of {len(names)} explainers. Area: {'; '.join(cells)}."
