r"""A section as a LaTeX table for papers: `table` and `tabular` with the rules of booktabs.

The text is escaped, so that a document which loads booktabs typesets any name. UTF-8 letters stay
as they are; the signs that tables here use beyond ASCII become commands.
"""

from __future__ import annotations

import re

from ifambench.reports.section import Section

PREAMBLE = r"% needs \usepackage{booktabs}"

_SIGNS = {
    "\\": r"\textbackslash{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\n": " ",
}
_WORST = "<- worst"


def to_latex(section: Section) -> str:
    r"""The section as a `table` with its notes below; ends with a line break.

    The row of the worst group is bold. Intervals stay in the cells in which the section has them.
    """
    columns = "".join("r" if align == "right" else "l" for align in section.aligns)
    body = [_row(row, bold=section.kind(k) == "worst") for k, row in enumerate(section.rows)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(section.title)}}}",
        rf"\label{{tab:{_label(section.key)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(section.header),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(section.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    r"""The text so that LaTeX typesets it as it is.

    >>> escape_latex("zero_on_land: 95 % of -0.4")
    'zero\\_on\\_land: 95 \\% of $-$0.4'
    """
    escaped = "".join(_SIGNS.get(sign, sign) for sign in text)
    escaped = re.sub(r"-(?=-)", "-{}", escaped)  # two in a row would be typeset as one dash
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)


def _row(cells: tuple[str, ...], *, bold: bool = False) -> str:
    return " & ".join(_cell(cell, bold) for cell in cells) + r" \\"


def _cell(text: str, bold: bool) -> str:
    """The text of a cell.

    Brackets and stars are wrapped: at the start of a row they would be read as arguments of the
    line break before it.
    """
    escaped = escape_latex(text.replace(_WORST, "worst").strip())
    indent = r"\quad " if text.startswith("  ") and escaped else ""
    if escaped[:1] in ("[", "*"):
        escaped = f"{{{escaped[0]}}}{escaped[1:]}"
    return indent + (rf"\textbf{{{escaped}}}" if bold and escaped else escaped)


def _label(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", key)


def _notes(notes: tuple[str, ...]) -> list[str]:
    return [r"\par\smallskip\footnotesize", " ".join(map(escape_latex, notes))] if notes else []
