"""SVG that takes its colours and its font from the page it stands in.

Figures are drawn with matplotlib in fixed colours; each stands for a role. Here every role becomes
a CSS variable (with the drawn colour as fallback), so one picture is right in light and in dark
mode and still shows when it is opened alone.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#2b2b28", "#77756f", "#c9c6bd"
ACCENT, WORST = "#2f6690", "#b5482a"
SERIES = ("#2f6690", "#b5482a", "#3f7d4e", "#8a5a9e", "#a87b16", "#2a8c8c", "#a34a72", "#6b6f2a")
"""Colours of explainers and of training curves; the first two are also accent and worst."""

FONT_SIZE = 11
WIDTH = 5.4
"""Inches; 389 units of the viewBox, so that the text is readable on a phone too."""
FEW_EPOCHS = 40
"""Up to here each epoch is marked: a single one has no line."""

_ROLES = {INK: "--ink", FAINT: "--faint", GRID: "--grid"}
_ROLES |= {colour: f"--series-{index}" for index, colour in enumerate(SERIES)}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ifambench",
    "font.family": "sans-serif",
    "font.size": FONT_SIZE,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def style() -> dict[str, object]:
    """The matplotlib settings to draw under (`matplotlib.rc_context`)."""
    return dict(_STYLE)


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an `<svg>` element to be put into a page.

    Args:
        figure: A figure drawn with `style()`.
        name: Prefix of all ids, unique in the page.
        description: What the picture shows, for those who do not see it.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # text stays text, so the page's font draws what matplotlib's own lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        metadata = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    return _opening(_with_roles(_with_prefix(text, name)), description)


def _opening(text: str, description: str) -> str:
    """Width and height from the page, and a label."""
    head, _, rest = text.partition(">")
    head = re.sub(r'\s(width|height|version|xmlns:xlink)="[^"]*"', "", head)
    label = html.escape(description, quote=True)
    return f'{head} role="img" aria-label="{label}">{rest}'.replace("xlink:href", "href")


def _with_prefix(text: str, name: str) -> str:
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return re.sub(r"url\(#|(?<=href=\")#", lambda found: f"{found[0]}{name}-", text)


def _with_roles(text: str) -> str:
    for colour, role in _ROLES.items():
        text = text.replace(colour, f"var({role}, {colour})")
    text = re.sub(r"font: ([^;\"']*?\d+px) [^;\"]*", r"font: \1 var(--sans, sans-serif)", text)
    return re.sub(r"font-family: [^;\"]*", "font-family: var(--sans, sans-serif)", text)
