"""What a comparison of two runs comes to, in one sentence about the protocol's primary metric."""

from __future__ import annotations

import pandas as pd

from ifambench.gates import points
from ifambench.reports import numbers

WORST = "worst_group_accuracy"
_NAMES = {
    WORST: "their worst group",
    "worst_class_accuracy": "their worst class",
    "minority_worst_accuracy": "their worst minority group",
}


def verdict(
    rows: pd.DataFrame,
    names: tuple[str, str],
    ties: tuple[list[str], list[str]],
    primary: str,
    forced: bool,
) -> str:
    """The sentence.

    Args:
        rows: The paired rows (`ifambench.metrics.paired.to_frame`).
        names: The baseline and the candidate in words.
        ties: For each, the groups that may be its worst one as well.
        primary: The metric that ranks.
        forced: Whether the runs are not comparable.
    """
    start = "forced comparison: " if forced else ""
    found = rows[rows["metric"] == primary]
    if found.empty:
        clause = f"{primary} has no paired difference"
    elif pd.isna(found.iloc[0]["delta"]):
        if primary == WORST:
            return f"{start}worst-group accuracy is undefined: a group has no common image."
        clause = f"{primary} is undefined on the common images"
    elif pd.isna(found.iloc[0]["ci_low"]):
        clause = f"{primary} has no interval on so few common images"
    else:
        clause = _clause(found.iloc[0], primary, names)
    return f"{start}{clause}{_accuracy(rows, primary)}{_near(ties, primary)}."


def _accuracy(rows: pd.DataFrame, primary: str) -> str:
    found = rows[rows["metric"] == "accuracy"]
    if primary == "accuracy" or found.empty or pd.isna(found.iloc[0]["delta"]):
        return ""
    mean = found.iloc[0]
    return f"; accuracy {points(mean['delta'], mean['ci_low'], mean['ci_high'])}"


def _near(ties: tuple[list[str], list[str]], primary: str) -> str:
    near = sorted({*ties[0], *ties[1]})
    if primary != WORST or not near:
        return ""
    return f"; near tie for the worst group ({', '.join(near)})"


def _clause(row: pd.Series, primary: str, names: tuple[str, str]) -> str:
    name_a, name_b = names
    where = _NAMES.get(primary, primary)
    evidence = f"({row['b']:.3f} against {row['a']:.3f}, {_p_text(row['p'])})"
    delta, low, high = (float(row[key]) for key in ("delta", "ci_low", "ci_high"))
    if row["better"] == "tie":
        shown = points(delta, low, high)
        return f"{name_b} and {name_a} cannot be told apart on {where}: {shown} {evidence}"
    ends = (low, high) if delta > 0 else (-high, -low)
    word = "better" if row["better"] == "b" else "worse"
    size, bottom, top = _apart([100 * value for value in (abs(delta), *ends)])
    return (
        f"{name_b} is {size} pp [{bottom}, {top}] "
        f"{word} than {name_a} on {where.replace('their', 'its')} {evidence}"
    )


def _apart(values: list[float]) -> list[str]:
    """Numbers to one decimal, all to more where one of them would look like 0."""
    places = max(numbers.apart(value, 0.0, 1) for value in values)
    return [f"{value:.{places}f}" for value in values]


def _p_text(p: float) -> str:
    text = numbers.p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
