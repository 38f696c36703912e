"""Explanations or the battery of stored runs, from their records: one column per metric.

    python docs/faithfulness_table.py explainers RUN... --metrics srg,relevance_mass
    python docs/faithfulness_table.py battery RUN... --metrics leak,free_flip_rate

Of explainers a row per model and explainer, highest first metric first; of the battery a row per
model and metric, with its conditions side by side. Values over all images, with 95 % intervals.
"""

import argparse
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["explainers", "battery"])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--metrics", required=True)
    asked = parser.parse_args()
    names = asked.metrics.split(",")
    records = [json.loads((ROOT / run / "run.json").read_text()) for run in asked.runs]
    if asked.kind == "explainers":
        print_table(["model", "explainer", "n", *names], explainers(records, names))
    else:
        print_table(["model", "metric", "values"], battery(records, names))


def explainers(records: list[dict], names: list[str]) -> list[list[str]]:
    rows = []
    for record in records:
        found = {
            (row["explainer"], row["metric"]): row
            for row in record["metrics"]
            if row["explainer"] and row["group"] == "all" and row["variant"] == "original"
        }
        shown = {explainer for explainer, metric in found if metric in names}
        first = {key: found.get((key, names[0]), {}).get("value") for key in shown}
        for key in sorted(shown, key=lambda k: (first[k] is None, -(first[k] or 0.0), k)):
            parts = [found.get((key, name)) for name in names]
            n = max(row["n"] for row in parts if row)
            rows.append([f"`{record['model']['name']}`", f"`{key}`", f"{n:,}", *map(cell, parts)])
    return rows


def battery(records: list[dict], names: list[str]) -> list[list[str]]:
    rows = []
    for record in records:
        for name in names:
            found = [row for row in record["metrics"] if row["metric"] == name]
            found = [row for row in found if row["group"] == "all" or name.startswith("worst")]
            if found:
                texts = [f"{condition(row)}{cell(row)}" for row in found]
                rows.append([f"`{record['model']['name']}`", f"`{name}`", "; ".join(texts)])
    return rows


def condition(row: dict) -> str:
    return "" if row["variant"] == "original" else f"{row['variant']}: "


def cell(row: dict | None) -> str:
    """The value with its interval; the size of a tiny change instead of zeros."""
    if row is None or row["value"] is None:
        return "-"
    value = row["value"]
    if row["ci_low"] is None:
        return "0" if value == 0 else f"{value:.1e}"
    return f"{value:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"


def print_table(head: list[str], rows: list[list[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print(f"| {' | '.join(':---' for _ in head)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
