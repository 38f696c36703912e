"""A table of benchmarks/coverage.csv: how often intervals hold the truth.

    python docs/coverage_table.py TABLE...

Cells outside 93-97 % are marked: `<` an interval that is too short, `>` one that is too wide.
"""

import sys
from pathlib import Path

import pandas as pd

BAND = (0.93, 0.97)


def main() -> None:
    rows = pd.read_csv(Path(__file__).parents[1] / "benchmarks" / "coverage.csv")
    rows = rows[rows["table"].isin(sys.argv[1:])]
    if rows.empty:
        raise SystemExit(f"no table {' '.join(sys.argv[1:])} in benchmarks/coverage.csv")
    methods = list(dict.fromkeys(rows["method"]))
    print(f"| case | images | {' | '.join(methods)} |")
    print("| :--- | :--- |" + " ---: |" * len(methods))
    for (case, images), part in rows.fillna("").groupby(["case", "images"], sort=False):
        found = {row["method"]: _cell(row) for _, row in part.iterrows()}
        print(f"| {case} | {images} | {' | '.join(found.get(name, '') for name in methods)} |")


def _cell(row: pd.Series) -> str:
    coverage = row["coverage"]
    mark = "< " if coverage < BAND[0] else "> " if coverage > BAND[1] else ""
    width = f" ({row['width']:.3f})" if row["width"] != "" else ""
    return f"{mark}{100 * coverage:.1f} %{width}"


if __name__ == "__main__":
    main()
