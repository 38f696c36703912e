"""Write what commands really print into README.md and docs/*.md, or check that it is there.

    python docs/refresh.py [--check | --pictures]

A block starts with `<!-- run: COMMAND -->` or `<!-- table: COMMAND -->` and ends with
`<!-- end -->`; `run` shows the command and its output as a terminal would, `table` inserts the
output as Markdown. A block that starts with `<!-- python -->` holds a cell of Python, whose output
is put below it; the cells of a page share their names, as in a notebook. All of it reads committed
files only, and takes seconds. `--pictures` draws docs/report.png, which needs Chromium and is not
checked.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- (run|table): (.+?) -->\n.*?<!-- end -->", re.DOTALL)
CELL = re.compile(r"<!-- python -->\n```python\n(.*?)```\n.*?<!-- end -->", re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--pictures", action="store_true", help="draw the picture, nothing else")
    asked = parser.parse_args()
    if asked.pictures:
        return _run([sys.executable, "docs/report_picture.py"]).returncode
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        old = path.read_text(encoding="utf-8")
        new = _with_cells(BLOCK.sub(_filled, old))
        if new != old:
            stale.append(path.relative_to(ROOT))
            if not asked.check:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if asked.check else 'written'}: {path}")
    return 1 if stale and asked.check else 0


def _filled(block: re.Match[str]) -> str:
    kind, command = block.groups()
    output = _output(command, {0} if kind == "table" else {0, 1, 2})
    body = output if kind == "table" else f"```\n$ {command}\n{output}```\n"
    return f"<!-- {kind}: {command} -->\n{body}<!-- end -->"


def _with_cells(text: str) -> str:
    """The page with the outputs of its Python cells."""
    cells = CELL.findall(text)
    if not cells:
        return text
    done = _run([sys.executable, "docs/notebook.py"], json.dumps(cells))
    if done.returncode:
        raise SystemExit(done.stderr)
    outputs = iter(json.loads(done.stdout))

    def filled(block: re.Match[str]) -> str:
        output = next(outputs)
        shown = f"```\n{output}```\n" if output else ""
        return f"<!-- python -->\n```python\n{block[1]}```\n{shown}<!-- end -->"

    return CELL.sub(filled, text)


def _output(command: str, expected: set[int]) -> str:
    """What the command prints; for an error that a user can make also what it says."""
    words = shlex.split(command)
    if words[0] == "ifambench":
        words[:1] = ["-m", "ifambench"]
    done = _run([sys.executable, *words])
    if done.returncode not in expected or "Traceback" in done.stderr:
        raise SystemExit(f"{command}\n{done.stderr}")
    text = done.stdout
    if done.returncode:
        text += f"{done.stderr}(exit code {done.returncode})\n"
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _run(command: list[str], said: str = "") -> subprocess.CompletedProcess[str]:
    """A command at 80 columns, without colour, on the package of this checkout."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": paths}
    return subprocess.run(
        command, cwd=ROOT, env=env, input=said, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
