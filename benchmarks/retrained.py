"""Stored runs beside the same commands run again by a later version: what did a change do?

    python benchmarks/retrained.py --before results --after DIR --csv benchmarks/retrained.csv
    python benchmarks/retrained.py --table benchmarks/retrained.csv

Only runs that both folders have are compared, by suite, model, protocol and seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from ifambench.records.store import read_record

METRICS = {"worst_group_accuracy": "worst group", "group_mean_accuracy": "group mean"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, default=Path("results"))
    parser.add_argument("--after", type=Path, help="folder of the later runs")
    parser.add_argument("--csv", type=Path, help="write the values to this file")
    parser.add_argument("--table", type=Path, help="only print a Markdown table of such a file")
    asked = parser.parse_args()
    if asked.table:
        print(_table(pd.read_csv(asked.table)))
        return
    rows = pd.DataFrame(_rows(asked.before, asked.after))
    print(_table(rows))
    if asked.csv:
        rows.to_csv(asked.csv, index=False)


def _rows(before: Path, after: Path) -> list[dict[str, Any]]:
    found = []
    for folder in sorted(path.parent for path in after.glob("*/*/*/seed*/run.json")):
        old = before / folder.relative_to(after)
        if read_record(folder).status != "complete" or not (old / "run.json").is_file():
            continue
        suite, model, _, seed = folder.relative_to(after).parts
        values = zip(_values(old).items(), _values(folder).values(), strict=True)
        found += [
            {"suite": suite, "model": model, "seed": int(seed.removeprefix("seed"))}
            | {"metric": metric, "before": one, "after": other}
            for (metric, one), other in values
        ]
    return found


def _values(folder: Path) -> dict[str, float]:
    rows = [row for row in read_record(folder).metrics if row.variant == "original"]
    return {name: next(r.value for r in rows if r.metric == name) for name in METRICS}


def _table(rows: pd.DataFrame) -> str:
    """One line per model and seed with another number; how many have the same."""
    wide = rows.pivot(
        index=["suite", "model", "seed"], columns="metric", values=["before", "after"]
    )
    columns = [(when, name) for name in METRICS for when in ("before", "after")]
    head = ["suite", "model", "seed", *(f"{METRICS[name]}, {when}" for when, name in columns)]
    lines = [f"| {' | '.join(head)} |", "| :--- " * 2 + "| ---: " * 5 + "|"]
    differs = (wide["before"] != wide["after"]).any(axis=1)
    for key, row in wide[differs].iterrows():
        suite, model, seed = key
        cells = [str(suite), f"`{model}`", str(seed), *(f"{row[column]:.3f}" for column in columns)]
        lines.append(f"| {' | '.join(cells)} |")
    same = wide[~differs].reset_index()
    names = ", ".join(f"`{name}`" for name in same["model"].unique())
    equal = [f"Equal to the last digit: {len(same)} further runs ({names})."] if len(same) else []
    return "\n\n".join(["\n".join(lines), *_changes(wide[differs]), *equal])


def _changes(wide: pd.DataFrame) -> list[str]:
    """One sentence: the mean change of each suite's first metric over its changed runs."""
    metric, name = next(iter(METRICS.items()))
    change = (wide["after"][metric] - wide["before"][metric]).groupby("suite")
    told = "; ".join(f"{suite} {_mean_std(runs)}" for suite, runs in change)
    what = f"Change of the {name}, mean ± standard deviation over runs"
    return [f"{what}: {told}."] if told else []


def _mean_std(runs: pd.Series) -> str:
    if len(runs) == 1:
        return f"{runs.mean():+.3f} (1 run)"
    return f"{runs.mean():+.3f} ± {runs.std():.3f} ({len(runs)} runs)"


if __name__ == "__main__":
    main()
