"""Explanations or the battery of stored runs, from their records.

    python docs/faithfulness_table.py explainers RUN... --metrics srg,gini [--over grad-cam]
    python docs/faithfulness_table.py battery RUN... --metrics leak,free_flip_rate

Of explainers a row per model and explainer, highest first metric first, and the paired differences
of the first metric to the explainers named by --over; of the battery a row per
metric and condition (METRIC:CONDITION for one of them), with the models side by side. Values over
all images, with 95 % intervals.
"""

import argparse
import json
from pathlib import Path

from ifambench.metrics.explainer_differences import explainer_differences
from ifambench.metrics.score import context_of
from ifambench.records.store import load_run

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["explainers", "battery"])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--over", default="", help="explainers to subtract, image by image")
    asked = parser.parse_args()
    names = asked.metrics.split(",")
    over = [name for name in asked.over.split(",") if name]
    records = [json.loads((ROOT / run / "run.json").read_text()) for run in asked.runs]
    if asked.kind == "explainers":
        rows = explainers(records, names)
        first = 0 if len(records) > 1 else 1  # the text names a single model
        head = ["model", "explainer", "n", *names, *(f"{names[0]} over {name}" for name in over)]
        if over:
            rows = [
                [*row, *cells]
                for row, cells in zip(rows, paired(asked.runs, rows, over, names[0]), strict=True)
            ]
        print_table(head[first:], [row[first:] for row in rows])
    else:
        print_table(["metric", "condition", *map(short, records)], battery(records, names))


def explainers(records: list[dict], names: list[str]) -> list[list[str]]:
    """A row per model and explainer; METRIC@OPERATOR is measured under another operator."""
    rows = []
    for record in records:
        found = {
            (row["explainer"], row["metric"], row["variant"]): row
            for row in record["metrics"]
            if row["explainer"] and row["group"] == "all"
        }
        plain = {explainer for explainer, *_ in found if "@" not in explainer}
        lines = {key: [found.get(place(key, name)) for name in names] for key in plain}
        for key in sorted(plain, key=lambda k: (-(value(lines[k][0]) or 0.0), k)):
            n = max((row["n"] for row in lines[key] if row), default=0)
            rows.append([short(record), f"`{key}`", f"{n:,}", *map(cell, lines[key])])
    return rows


def paired(runs: list[str], rows: list[list[str]], over: list[str], metric: str) -> list[list[str]]:
    """Of each row of one run, the mean difference per image to each explainer of `over`."""
    run = load_run(ROOT / runs[0])
    found = {}
    for name in over:
        frame = explainer_differences(run.tables, context_of(run.record), name, metric)
        for item in frame[frame["group"] == "all"].to_dict("records"):
            shown = {"value": item["difference"], **{k: item[k] for k in ("ci_low", "ci_high")}}
            found[item["explainer"], name] = cell(shown)
    return [[found.get((row[1].strip("`"), name), "-") for name in over] for row in rows]


def place(explainer: str, name: str) -> tuple[str, str, str]:
    """Where METRIC, METRIC:CONDITION or METRIC@OPERATOR of an explainer stands in a record."""
    name, _, operator = name.partition("@")
    metric, _, condition = name.partition(":")
    return (f"{explainer}@{operator}" if operator else explainer, metric, condition or "original")


def value(row: dict | None) -> float | None:
    return None if row is None else row["value"]


def battery(records: list[dict], names: list[str]) -> list[list[str]]:
    """A row per metric and condition, a cell per model."""
    found = [
        {(row["metric"], row["variant"]): row for row in record["metrics"] if is_whole(row)}
        for record in records
    ]
    asked = [
        key
        for name in names
        for key in sorted({key for rows in found for key in rows if of(key, name)})
    ]
    return [
        [f"`{metric}`", "" if variant == "original" else variant]
        + [cell(rows.get((metric, variant)), digits=2) for rows in found]
        for metric, variant in asked
    ]


def is_whole(row: dict) -> bool:
    """Whether a number is about all images, or about the worst of the groups."""
    return row["group"] == "all" or row["metric"].startswith("worst")


def of(key: tuple[str, str], name: str) -> bool:
    """Whether a metric and condition are those asked for as METRIC or METRIC:CONDITION."""
    metric, _, condition = name.partition(":")
    return key[0] == metric and condition in ("", key[1])


def short(record: dict) -> str:
    """The name of a model, of given weights that of their file."""
    name = record["model"]["name"]
    return f"`{Path(name).stem}`" if name.startswith("ckpt:") else f"`{name}`"


def cell(row: dict | None, digits: int = 3) -> str:
    """The value with its interval; the size of a tiny change instead of zeros."""
    if row is None or row["value"] is None:
        return "-"
    if row["ci_low"] is None:
        return "0" if row["value"] == 0 else f"{row['value']:.1e}"
    low, high = row["ci_low"], row["ci_high"]
    return f"{row['value']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def print_table(head: list[str], rows: list[list[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print(f"| {' | '.join(':---' for _ in head)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
