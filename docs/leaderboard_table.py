"""The README's table, from results/leaderboard.csv: mean and standard deviation over seeds."""

from pathlib import Path

import pandas as pd

COLUMNS = {
    "worst_group_accuracy": "worst group",
    "group_mean_accuracy": "group mean",
    "bg_gap": "BG-Gap",
    "mask_iou": "mask IoU",
}


def main() -> None:
    rows = pd.read_csv(Path(__file__).parents[1] / "results" / "leaderboard.csv")
    head = ["suite", "model", "group labels", "seeds", *COLUMNS.values()]
    print(f"| {' | '.join(head)} |")
    print("| :--- | :--- | :--- |" + " ---: |" * (1 + len(COLUMNS)))
    for _, row in rows.iterrows():
        cells = [row["suite"], f"`{row['model']}`", row["labels_needed"], str(row["seeds"])]
        cells += [_cell(row[f"{name}_mean"], row[f"{name}_std"]) for name in COLUMNS]
        print(f"| {' | '.join(cells)} |")


def _cell(mean: float, std: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"


if __name__ == "__main__":
    main()
