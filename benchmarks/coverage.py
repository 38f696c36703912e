"""How often the intervals of ifambench hold the truth: simulation, printed as Markdown.

    python benchmarks/coverage.py

Nominal level 95 %. Seeded, so the printed numbers are reproducible; they are the tables of
`docs/statistics.md`. The percentile bootstrap of a minimum is simulated here only to show why it
is not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ifambench.metrics.resampling import (
    bootstrap_paired_rates,
    bootstrap_worst_group_difference,
)
from ifambench.metrics.uncertainty import (
    bonett_price,
    mcnemar,
    mover_weighted_sum,
    wilson,
)

SEED = 20260101
CLOSED_FORM_RUNS = 4000
BOOTSTRAP_RUNS = 1000
RESAMPLES = 1000
CORRELATION = 0.4

SIZES = {"2255, 2255, 642, 642": (2255, 2255, 642, 642), "4 x 100": (100, 100, 100, 100)}
RATES = {
    "distinct worst group": (0.97, 0.93, 0.88, 0.80),
    "two groups tie": (0.97, 0.93, 0.80, 0.80),
    "all groups tie": (0.90, 0.90, 0.90, 0.90),
}
PAIRS = {
    "same worst group": ((0.97, 0.93, 0.90, 0.80), (0.97, 0.94, 0.92, 0.85)),
    "different worst groups": ((0.97, 0.93, 0.80, 0.90), (0.97, 0.93, 0.92, 0.83)),
    "all groups tie in both": ((0.90,) * 4, (0.90,) * 4),
    "two groups tie in one": ((0.97, 0.93, 0.80, 0.80), (0.97, 0.93, 0.92, 0.80)),
    "all groups tie in one": ((0.90,) * 4, (0.97, 0.97, 0.97, 0.90)),
}
SHARES = (0.73, 0.04, 0.01, 0.22)

Limits = tuple[float, float]


def main() -> None:
    started = time.perf_counter()
    rng = np.random.default_rng(SEED)
    print_table("Worst group of one run", ("rates", "images", "method"), _worst_group(rng))
    print_table("Averages of one run", ("average", "rates", "images"), _averages(rng))
    print_table("Paired difference in one group", ("n", "only a / only b"), _paired(rng))
    print_table("Paired difference of averages", ("average", "images"), _paired_averages(rng))
    print_table("Difference of worst groups", ("case", "images"), _worst_differences(rng))
    _print_mcnemar(rng)
    print(f"{time.perf_counter() - started:.0f} s")


def print_table(title: str, names: Sequence[str], rows: list[tuple[str, ...]]) -> None:
    header = (*names, "coverage", "mean width")
    print(f"### {title}\n\n| {' | '.join(header)} |")
    print(f"|{' :--- |' * len(names)} ---: | ---: |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def summary(truth: float, intervals: Sequence[Limits]) -> tuple[str, str]:
    found = np.asarray(intervals)
    covered = (found[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= found[:, 1])
    return f"{100 * covered.mean():.1f} %", f"{(found[:, 1] - found[:, 0]).mean():.3f}"


def _worst_group(rng: np.random.Generator) -> list[tuple[str, ...]]:
    methods: dict[str, tuple[int, Callable[[NDArray[np.int64], NDArray[np.int64]], Limits]]] = {
        "Wilson, observed worst group": (CLOSED_FORM_RUNS, _wilson_worst),
        "percentile bootstrap of the minimum (not used)": (
            BOOTSTRAP_RUNS,
            lambda right, ns: _bootstrap_minimum(right, ns, rng),
        ),
    }
    rows: list[tuple[str, ...]] = []
    for case, rates in RATES.items():
        for images, sizes in SIZES.items():
            ns = np.array(sizes)
            for method, (runs, interval) in methods.items():
                drawn = rng.binomial(ns, rates, size=(runs, 4))
                found = [interval(right, ns) for right in drawn]
                rows.append((case, images, method, *summary(min(rates), found)))
    return rows


def _wilson_worst(right: NDArray[np.int64], ns: NDArray[np.int64]) -> Limits:
    worst = int(np.argmin(right / ns))
    return wilson(int(right[worst]), int(ns[worst]))


def _bootstrap_minimum(
    right: NDArray[np.int64], ns: NDArray[np.int64], rng: np.random.Generator
) -> Limits:
    minima = (rng.binomial(ns, right / ns, size=(RESAMPLES, len(ns))) / ns).min(axis=1)
    low, high = np.quantile(minima, [0.025, 0.975])
    return float(low), float(high)


def _averages(rng: np.random.Generator) -> list[tuple[str, ...]]:
    cases = {"0.97 0.93 0.88 0.80": (0.97, 0.93, 0.88, 0.80), "all 0.99": (0.99,) * 4}
    rows: list[tuple[str, ...]] = []
    for case, rates in cases.items():
        for images, sizes in SIZES.items():
            drawn = rng.binomial(sizes, rates, size=(CLOSED_FORM_RUNS, 4)).tolist()
            total = sum(sizes)
            micro = [wilson(sum(right), total) for right in drawn]
            truth = float(np.dot(sizes, rates) / total)
            rows.append(("accuracy (Wilson)", case, images, *summary(truth, micro)))
            for name, weights in (("adjusted", SHARES), ("group mean", (0.25,) * 4)):
                found = [mover_weighted_sum(weights, right, sizes) for right in drawn]
                label = f"{name} (MOVER)"
                rows.append((label, case, images, *summary(np.dot(weights, rates), found)))
    return rows


def _paired(rng: np.random.Generator) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for n in (50, 180, 642):
        for only_a, only_b in ((0.0, 0.0), (0.01, 0.01), (0.05, 0.10), (0.02, 0.30)):
            rest = 1 - only_a - only_b
            drawn = rng.multinomial(n, [only_a, only_b, rest], size=CLOSED_FORM_RUNS).tolist()
            found = [bonett_price(a, b, n) for a, b, _ in drawn]
            rows.append((str(n), f"{only_a} / {only_b}", *summary(only_b - only_a, found)))
    return rows


def _paired_averages(rng: np.random.Generator) -> list[tuple[str, ...]]:
    a, b = PAIRS["same worst group"]
    rows: list[tuple[str, ...]] = []
    for images, sizes in SIZES.items():
        ns = np.array(sizes)
        tables = _tables(a, b, ns, rng)
        weights = {
            "accuracy": ns / ns.sum(),
            "adjusted": np.array(SHARES),
            "group mean": ns * 0 + 0.25,
        }
        for name, weight in weights.items():
            found = [
                bootstrap_paired_rates(table, [0, -1, 1, 0], weight, RESAMPLES, seed)[:2]
                for seed, table in enumerate(tables)
            ]
            truth = float(weight @ (np.array(b) - np.array(a)))
            rows.append((name, images, *summary(truth, found)))
    return rows


def _worst_differences(rng: np.random.Generator) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for case, (a, b) in PAIRS.items():
        for images, sizes in SIZES.items():
            found = [
                bootstrap_worst_group_difference(table, RESAMPLES, seed)[:2]
                for seed, table in enumerate(_tables(a, b, np.array(sizes), rng))
            ]
            rows.append((case, images, *summary(min(b) - min(a), found)))
    return rows


def _tables(
    a: Sequence[float], b: Sequence[float], ns: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(runs, groups, 4) paired tables whose judgements have correlation 0.4."""
    p, q = np.array(a), np.array(b)
    both = p * q + CORRELATION * np.sqrt(p * (1 - p) * q * (1 - q))
    both = np.minimum(both, np.minimum(p, q))
    cells = np.stack([both, p - both, q - both, 1 - p - q + both], axis=1)
    return rng.multinomial(ns, cells, size=(BOOTSTRAP_RUNS, len(ns)))


def _print_mcnemar(rng: np.random.Generator) -> None:
    print("### McNemar test, both models equally good\n")
    print("| discordant pairs (mean) | rejected at 0.05 |\n| ---: | ---: |")
    for mean in (8, 20, 40, 200):
        drawn = rng.poisson(mean / 2, size=(CLOSED_FORM_RUNS, 2))
        cells, counts = np.unique(drawn, axis=0, return_counts=True)
        rejected = np.array([mcnemar(*map(int, cell)) < 0.05 for cell in cells])
        print(f"| {mean} | {100 * (rejected @ counts) / CLOSED_FORM_RUNS:.1f} % |")
    print()


if __name__ == "__main__":
    main()
