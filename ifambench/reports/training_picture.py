"""The curves of a training as one picture, `training.png`: losses, validation, learning rate."""

from __future__ import annotations

import io
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ifambench.atomic import write_bytes_atomic
from ifambench.reports.svg import FAINT, FEW_EPOCHS, SERIES, WIDTH, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE_FILE = "training.png"

_DPI = 150
_VALIDATION = {"val_accuracy": "accuracy", "val_worst_group_accuracy": "worst group"}


class _Panel(NamedTuple):
    """One of the plots: its column names with their labels."""

    label: str
    height: float
    """Inches."""
    names: dict[str, str]
    limits: tuple[float, float] | None = None


def write_training_picture(folder: Path) -> Path | None:
    """Draw `training.csv` of a run folder beside it; None where nothing was trained.

    Raises:
        EnvironmentProblem: If the folder cannot be written to.
    """
    try:
        table = pd.read_csv(folder / "training.csv")
    except (OSError, ValueError):
        return None
    if not _panels(table):
        return None
    write_bytes_atomic(folder / PICTURE_FILE, training_picture(table))
    return folder / PICTURE_FILE


def training_picture(table: pd.DataFrame) -> bytes:
    """The curves as PNG.

    Args:
        table: A training table with at least one of losses, validation accuracy and learning rate.
            The epoch whose weights were kept (`selected`) is marked.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(table)
    heights = [panel.height for panel in panels]
    with mpl.rc_context(style() | {"figure.facecolor": "white", "savefig.dpi": _DPI}):
        figure = Figure(figsize=(WIDTH * 1.3, sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axis, panel in zip(axes[:, 0], panels, strict=True):
            _draw(axis, table, panel)
        _label_epochs(axes[-1, 0])
        figure.align_ylabels()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _panels(table: pd.DataFrame) -> list[_Panel]:
    """Those for which the table has values."""
    losses = [str(name) for name in table.columns if str(name).startswith("loss_")]
    terms = [name for name in losses if name != "loss_total"]
    if len(terms) == 1:  # the total is the same
        terms = []
    every = [
        _Panel("total loss", 1.8, {"loss_total": "total"}),
        _Panel("loss terms", 2.9, {name: _plain(name) for name in terms}),
        _Panel("validation", 1.9, _VALIDATION, (0.0, 1.02)),
        _Panel("learning rate", 1.4, {"lr": "learning rate"}),
    ]
    found = []
    for panel in every:
        names = {name: label for name, label in panel.names.items() if _has(table, name)}
        found += [panel._replace(names=names)] if names else []
    return found


def _has(table: pd.DataFrame, name: str) -> bool:
    return name in table.columns and bool(table[name].notna().any())


def _plain(name: str) -> str:
    return name.removeprefix("loss_").replace("_", " ")


def _draw(axis: Axes, table: pd.DataFrame, panel: _Panel) -> None:
    """Lines with a dot per epoch, the kept epoch, and beside the plot what is what."""
    colours, few = cycle(SERIES), len(table) <= FEW_EPOCHS
    for (name, label), colour in zip(panel.names.items(), colours, strict=False):
        dash = "-" if list(panel.names).index(name) < len(SERIES) else "--"
        line = f"{dash}o" if few else dash
        axis.plot(table["epoch"], table[name], line, color=colour, label=label, markersize=3)
    axis.set_ylabel(panel.label, fontsize=10)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=False)
    if panel.limits:
        axis.set_ylim(*panel.limits)
    _mark_selected(axis, table, named=panel.names.keys() <= _VALIDATION.keys())
    handles, labels = axis.get_legend_handles_labels()
    if len(labels) > 1:
        axis.legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)


def _mark_selected(axis: Axes, table: pd.DataFrame, named: bool) -> None:
    if "selected" not in table or len(table) == 1:
        return
    label = "kept epoch" if named else "_hidden"  # matplotlib shows no name that starts with _
    for epoch in table.loc[table["selected"] == 1, "epoch"]:
        axis.axvline(epoch, color=FAINT, linestyle=":", linewidth=1.2, zorder=0, label=label)


def _label_epochs(axis: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
