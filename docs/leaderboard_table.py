"""A table of results/leaderboard.csv: mean and standard deviation over seeds.

    python docs/leaderboard_table.py [--suite SUITE] [--model PREFIX]

With a suite, only its rows, and of these only the models whose name starts with PREFIX. Given
weights that another row has trained are left out.
"""

import argparse
from pathlib import Path

import pandas as pd

COLUMNS = {
    "worst_group_accuracy": "worst group",
    "group_mean_accuracy": "group mean",
    "bg_gap": "BG-Gap",
    "mask_iou": "mask IoU",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite")
    parser.add_argument("--model", default="")
    asked = parser.parse_args()
    rows = pd.read_csv(Path(__file__).parents[1] / "results" / "leaderboard.csv")
    rows = rows[rows["model"].str.startswith(asked.model)]
    rows = rows[~rows["unranked"].fillna("").str.startswith("the weights of")]
    if asked.suite:
        rows = rows[rows["suite"].str.partition("@")[0] == asked.suite]
    names = [name for name in COLUMNS if rows[f"{name}_mean"].notna().any()]
    head = ["suite", "model", "group labels", "seeds", *(COLUMNS[name] for name in names)]
    print(f"| {' | '.join(head)} |")
    print("| :--- | :--- | :--- |" + " ---: |" * (1 + len(names)))
    for _, row in rows.iterrows():
        cells = [row["suite"], f"`{row['model']}`", row["labels_needed"], str(row["seeds"])]
        cells += [_cell(row[f"{name}_mean"], row[f"{name}_std"]) for name in names]
        print(f"| {' | '.join(cells)} |")


def _cell(mean: float, std: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"


if __name__ == "__main__":
    main()
