"""How long the commands of every day take to start, and which heavy packages they import.

    python benchmarks/cli.py [--repeat 10]

Each command is a process of its own. Wall and CPU seconds are the best of the repetitions. The
ratio is that of the CPU seconds to `python -c pass`: it says more than seconds on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

HEAVY = ("torch", "timm", "captum", "sklearn", "scipy", "matplotlib", "pandas", "pydantic")
COMMANDS = ("--help", "list", "list suites", "list models", "list runs", "show run-schema")

_IMPORTED = """
import sys
from ifambench.cli import main
sys.stdout = open(__import__("os").devnull, "w")
main(sys.argv[1:])
sys.stderr.write("\\n" + " ".join(sorted(set({heavy!r}) & set(sys.modules))))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=10)
    asked = parser.parse_args()
    _, bare = best([sys.executable, "-c", "pass"], asked.repeat)
    print("command,wall_s,cpu_s,ratio,imports")
    print(f"python -c pass,,{bare:.3f},1.0,")
    for command in COMMANDS:
        words = [sys.executable, "-m", "ifambench", *command.split()]
        wall, cpu = best(words, asked.repeat)
        found = imported(command)
        print(f"{command},{wall:.3f},{cpu:.3f},{cpu / bare:.1f},{found}", flush=True)


def best(words: list[str], repeat: int) -> tuple[float, float]:
    """The shortest wall and CPU time."""
    found = [timed(words) for _ in range(repeat)]
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def timed(words: list[str]) -> tuple[float, float]:
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} gave exit code {process.returncode}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def imported(command: str) -> str:
    """The heavy packages that a command imports."""
    words = [sys.executable, "-c", _IMPORTED.format(heavy=HEAVY), *command.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stderr.rpartition("\n")[2]


if __name__ == "__main__":
    main()
