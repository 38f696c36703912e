"""The charts of a report, as SVG strings; each function returns an empty string without data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import pandas as pd

from ifambench.metrics.deletion import is_floor
from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import numbers
from ifambench.reports.accuracy_tables import MANY_GROUPS, shown_groups, variant_rows
from ifambench.reports.rows import class_name, row, shown, worst_group
from ifambench.reports.svg import (
    ACCENT,
    FAINT,
    FEW_EPOCHS,
    FONT_SIZE,
    GRID,
    INK,
    SERIES,
    WIDTH,
    WORST,
    style,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR_HEIGHT = 0.52
_TINT = 0.5
"""The strongest tint of a cell, on which ink is still readable in light and in dark mode."""
_DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class _Bar:
    label: str
    metric: Metric
    colour: str


def group_bars(record: RunRecord) -> str:
    """Accuracy of each group with its interval, the worst one in another colour."""
    found = [item for item in shown_groups(record) if item.value is not None]
    worst = worst_group(record)
    bars = [_Bar(item.group, item, WORST if item.group == worst else ACCENT) for item in found]
    return _bar_chart(bars, "groups", "Accuracy by group")


def variant_bars(record: RunRecord) -> str:
    """Accuracy on each image variant with its interval."""
    original, others = variant_rows(record)
    found = [item for item in (original, *others) if item is not None and item.value is not None]
    if not others:
        return ""
    bars = [
        _Bar(item.variant, item, WORST if item.variant == "mixed_rand" else ACCENT)
        for item in found
    ]
    gap = row(record, "bg_gap", group="all")
    return _bar_chart(bars, "variants", "Accuracy by image variant", gap)


def label_background_matrix(record: RunRecord, predictions: pd.DataFrame) -> str:
    """Accuracy for each class (rows) on each background (columns) of the original images.

    The background is the first attribute of the suite. No figure for more classes than one shows.
    """
    attributes = [name for name in predictions.columns if name.startswith("a_")]
    frame = predictions[predictions["variant"] == "original"]
    if not attributes or frame.empty or frame["y"].nunique() > MANY_GROUPS:
        return ""
    right = (frame["y"] == frame["y_pred"]).groupby([frame["y"], frame[attributes[0]]])
    accuracy, count = right.mean().unstack(), right.size().unstack(fill_value=0)
    labels = [class_name(record, int(y)) for y in accuracy.index]
    with drawing(1.1 + 0.75 * len(labels)) as (figure, axes):
        _draw_matrix(axes, accuracy, count)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xticks(range(accuracy.shape[1]), [str(name) for name in accuracy.columns])
        axes.set_xlabel(attributes[0].removeprefix("a_"))
        axes.set_ylabel("class")
        cells = [
            f"{label} on {name}: {value:.3f}"
            for label, (_, values) in zip(labels, accuracy.iterrows(), strict=True)
            for name, value in values.items()
        ]
        return to_svg(figure, "matrix", f"Accuracy by class and background. {'; '.join(cells)}.")


def training_chart(training: pd.DataFrame | None, kind: str) -> str:
    """Training curves over epochs.

    Args:
        training: The stored training table.
        kind: `loss` for the loss terms, `accuracy` for the accuracies.
    """
    from matplotlib.ticker import MaxNLocator

    if training is None or training.empty:
        return ""
    names = [str(name) for name in training.columns if kind in str(name)]
    names = [name for name in names if training[name].notna().any()]
    if not names:
        return ""
    marker = "o" if len(training) <= FEW_EPOCHS else ""
    with drawing(2.9 + 0.22 * ((len(names) + 1) // 2)) as (figure, axes):
        for name, (colour, dash) in zip(names, line_styles(names), strict=True):
            label = name.removeprefix("loss_").replace("_", " ")
            part = training[training[name].notna()]
            (line,) = axes.plot(part["epoch"], part[name], dash, color=colour, label=label)
            line.set(linewidth=1.8, marker=marker, markersize=3)
        axes.set_xlabel("epoch")
        axes.set_ylabel(kind)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        figure.legend(loc="outside lower center", ncols=2, fontsize=FONT_SIZE - 1)
        last = training.iloc[-1]
        ends = ", ".join(f"{name} {last[name]:.3f}" for name in names if pd.notna(last[name]))
        text = f"Training {kind} over {len(training)} epochs; at the end {ends}."
        return to_svg(figure, f"training-{kind}", text)


@contextmanager
def drawing(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of the common width in the common style, without global state of pyplot."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(style()):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def _bar_chart(bars: Sequence[_Bar], name: str, title: str, gap: Metric | None = None) -> str:
    """Horizontal bars with the label and the numbers above each, so that no label is cut."""
    if not bars:
        return ""
    with drawing(0.35 + _BAR_HEIGHT * len(bars)) as (figure, axes):
        for index, bar in enumerate(bars):
            _draw_bar(axes, index, bar)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(bars) - 0.45, -0.75)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        cells = "; ".join(_spoken(bar) for bar in bars)
        end = f" BG-Gap {numbers.points(gap.value, 3)}." if gap and gap.value is not None else ""
        return to_svg(figure, name, f"{title}. {cells}.{end}")


def _draw_bar(axes: Axes, index: int, bar: _Bar) -> None:
    item, text = bar.metric, shown(bar.metric)
    axes.barh(index, item.value or 0.0, height=0.3, color=bar.colour, alpha=0.55)
    if item.ci_low is not None and item.ci_high is not None:
        axes.plot([item.ci_low, item.ci_high], [index, index], color=INK, linewidth=1.6)
    above = index - 0.22
    axes.text(0, above, bar.label, va="bottom", ha="left", color=INK)
    figures = f"{text.value} (n {numbers.count(item.n)})"
    axes.text(1, above, figures, va="bottom", ha="right", color=INK)


def _spoken(bar: _Bar) -> str:
    text = shown(bar.metric)
    return f"{bar.label}: {text.value} {text.interval}"


def _draw_matrix(axes: Axes, accuracy: pd.DataFrame, count: pd.DataFrame) -> None:
    """Cells that are the stronger in colour the more is wrong; text stays ink on a light tint."""
    from matplotlib.patches import Rectangle

    for (i, j), value in pd.DataFrame(accuracy.to_numpy()).stack().items():
        corner = (j - 0.48, i - 0.46)
        axes.add_patch(
            Rectangle(corner, 0.96, 0.92, facecolor=WORST, alpha=min(_TINT, 1.5 * (1 - value)))
        )
        axes.add_patch(Rectangle(corner, 0.96, 0.92, facecolor="none", edgecolor=GRID))
        cell = numbers.fraction(float(value), 3)
        axes.text(j, i - 0.02, cell, ha="center", va="bottom", fontsize=FONT_SIZE + 3)
        number = f"n {numbers.count(int(count.iloc[i, j]))}"
        axes.text(j, i + 0.08, number, ha="center", va="top", color=INK)
    axes.set_xlim(-0.5, accuracy.shape[1] - 0.5)
    axes.set_ylim(accuracy.shape[0] - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.grid(visible=False)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def line_styles(names: Sequence[str]) -> list[tuple[str, str]]:
    """Colour and dash of each line, no two alike; random floors are grey and dotted."""
    colours, found = cycle(SERIES), []
    for index, name in enumerate(names):
        dash = _DASHES[(index // len(SERIES)) % len(_DASHES)]
        found.append((FAINT, ":") if is_floor(name) else (next(colours), dash))
    return found
