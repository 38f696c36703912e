"""Accuracy on every variant of a suite's images, from the records: one row per model.

    python docs/swap_table.py --suite SUITE@MAJOR --protocol PROTOCOL

Mean over training seeds, ± standard deviation where there are several.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", required=True)
    parser.add_argument("--protocol", required=True)
    asked = parser.parse_args()
    paths = sorted((RESULTS / asked.suite).glob(f"*/{asked.protocol}/seed*/run.json"))
    rows = [row for path in paths for row in _accuracies(json.loads(path.read_text()))]
    found = pd.DataFrame(rows, columns=["model", "variant", "accuracy", "n"])
    by_cell = found.groupby(["model", "variant"], sort=False)["accuracy"]
    mean, std = by_cell.mean().unstack(), by_cell.std(ddof=1).unstack()
    variants = list(dict.fromkeys(found["variant"]))
    images = found.groupby("variant")["n"].first()
    print(f"| model | {' | '.join(f'{name} (n = {images[name]:,})' for name in variants)} |")
    print("| :--- |" + " ---: |" * len(variants))
    for model in mean.index:
        cells = [_cell(mean.loc[model, name], std.loc[model, name]) for name in variants]
        print(f"| `{model}` | {' | '.join(cells)} |")


def _accuracies(record: dict) -> list[tuple]:
    """Model, variant, accuracy over all images and their number, in the protocol's order."""
    found = {
        row["variant"]: row
        for row in record["metrics"]
        if row["metric"] == "variant_accuracy" and row["group"] == "all"
    }
    name = record["model"]["name"]
    order = record["protocol"]["variants"]
    return [(name, variant, found[variant]["value"], found[variant]["n"]) for variant in order]


def _cell(mean: float, std: float) -> str:
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"


if __name__ == "__main__":
    main()
