"""Write what commands really print into README.md and docs/*.md, or check that it is there.

    python docs/refresh.py [--check]

A block starts with `<!-- run: COMMAND -->` or `<!-- table: COMMAND -->` and ends with
`<!-- end -->`; `run` shows the command and its output as a terminal would, `table` inserts the
output as Markdown. All commands read committed files only, and take seconds.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- (run|table): (.+?) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> int:
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        old = path.read_text(encoding="utf-8")
        new = BLOCK.sub(_filled, old)
        if new != old:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if '--check' in sys.argv else 'written'}: {path}")
    return 1 if stale and "--check" in sys.argv else 0


def _filled(block: re.Match[str]) -> str:
    kind, command = block.groups()
    output = _output(command)
    body = output if kind == "table" else f"```\n$ {command}\n{output}```\n"
    return f"<!-- {kind}: {command} -->\n{body}<!-- end -->"


def _output(command: str) -> str:
    """What the command prints, at 80 columns and without colour; a failed gate is no failure."""
    words = shlex.split(command)
    if words[0] == "ifambench":
        words[:1] = ["-m", "ifambench"]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}\n{done.stderr}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


if __name__ == "__main__":
    sys.exit(main())
