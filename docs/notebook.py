"""Run the cells of a page one after the other in one namespace; print their outputs as JSON.

    python docs/notebook.py < CELLS

The cells are a JSON list of Python texts. As in a notebook, what a statement evaluates to is shown.
"""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    pd.set_option("display.width", 120, "display.max_columns", 12, "display.max_colwidth", 48)
    pd.set_option("display.float_format", "{:.3f}".format)
    names: dict[str, Any] = {}
    print(json.dumps([_output(cell, names) for cell in json.load(sys.stdin)]))


def _output(cell: str, names: dict[str, Any]) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for statement in ast.parse(cell).body:
            exec(compile(ast.Interactive([statement]), "cell", "single"), names)
    return "".join(f"{line.rstrip()}\n" for line in shown.getvalue().splitlines())


if __name__ == "__main__":
    main()
