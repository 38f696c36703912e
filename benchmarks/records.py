"""Many run records: how long listing, look-up, compare and the leaderboard take, and what memory.

    python benchmarks/records.py --record results/SUITE/MODEL/standard/seed0 [--runs 10000]

Copies of one run record with other names of models, other seeds and slightly other numbers are
written to a temporary folder, five seeds per model and two suites, without tables. Each command is
a process of its own with one thread of BLAS. "first" finds no index, "again" the one of before,
"changed" one in which a hundredth of the records is new. Times are the best of a few repetitions,
in seconds: wall and CPU of the process; memory is the largest resident set.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEEDS = 5
EXPECTED = (0, 2)
"""Exit codes; compare is asked for a model that is not there."""

_SETTLED_SECONDS = 2.5
"""Files younger than this are not remembered by the index."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    content = json.loads((asked.record / "run.json").read_text(encoding="utf-8"))
    print("runs,command,state,wall_s,cpu_s,memory_mb")
    for runs in asked.runs:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "results"
            names = generate(content, root, runs)
            time.sleep(_SETTLED_SECONDS)
            measure(root, names, runs, asked.repeat)


def generate(content: dict[str, Any], root: Path, runs: int) -> list[str]:
    """Write the records and return the names of the models of the first suite."""
    draw = random.Random(0)
    names = []
    for number in range(runs // SEEDS):
        suite, model = f"suite-{number % 2}", f"vit-ti@num_parts={number}"
        shift = draw.uniform(-0.2, 0.0)
        names += [model] if number % 2 == 0 else []
        for seed in range(SEEDS):
            write(content, root, suite, model, seed, shift + draw.gauss(0.0, 0.01))
    return names


def write(
    content: dict[str, Any], root: Path, suite: str, model: str, seed: int, shift: float
) -> None:
    rows = [
        row | {"value": min(max(row["value"] + shift, 0.0), 1.0)}
        if row["value"] is not None and row["metric"].endswith("accuracy")
        else row
        for row in content["metrics"]
    ]
    parts = {"suite": {"id": suite}, "model": {"name": model}}
    changed = {name: content[name] | part for name, part in parts.items()}
    record = content | changed | {"seed": seed, "tables": {}, "metrics": rows}
    folder = root / f"{suite}@1" / model / "standard" / f"seed{seed}"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def measure(root: Path, names: list[str], runs: int, repeat: int) -> None:
    def show(command: str, state: str, before: Callable[[], object], *words: str) -> None:
        found = [timed(before, words) for _ in range(repeat)]
        wall, cpu, memory = (min(column) for column in zip(*found, strict=True))
        print(f"{runs},{command},{state},{wall:.2f},{cpu:.2f},{memory:.0f}", flush=True)

    place = ("--results", str(root))
    listing = ("list", "runs", "--output", str(root), *place)
    board = ("leaderboard", *place)
    for command, words in (("list runs", listing), ("leaderboard", board)):
        show(command, "first", lambda: forget(root), *words)
        show(command, "again", lambda: None, *words)
        show(command, "changed", lambda: touch(root), *words)
    show("leaderboard --check", "any", lambda: None, *board, "--check")
    unknown = ("compare", f"{names[0]}0", names[1], *place)
    show("compare, name not known", "any", lambda: None, *unknown)


def forget(root: Path) -> None:
    shutil.rmtree(root / ".ifambench-index", ignore_errors=True)


def touch(root: Path) -> None:
    """Give every hundredth record a new time, as a new checkout of it would."""
    for number, path in enumerate(sorted(root.rglob("run.json"))):
        if number % 100 == 0:
            os.utime(path)


def timed(before: Callable[[], object], words: tuple[str, ...]) -> tuple[float, float, float]:
    before()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ifambench", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in EXPECTED:
        raise SystemExit(f"{' '.join(words)} gave exit code {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
