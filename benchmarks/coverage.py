"""How often the intervals of ifambench hold the truth: simulation, written to coverage.csv.

    python benchmarks/coverage.py

Nominal level 95 %. Seeded, so the numbers can be made again; `docs/coverage_table.py` shows them in
`docs/statistics.md`. Intervals that are not used are simulated where their failure is the reason.
Takes about a minute on one core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.metrics.discrimination import auroc
from ifambench.metrics.paired_worst import worst_limits
from ifambench.metrics.resampling import (
    bootstrap_mean,
    bootstrap_paired_rates,
    bootstrap_statistic,
)
from ifambench.metrics.uncertainty import (
    bonett_price,
    mcnemar,
    mover_weighted_sum,
    paired_t,
    smallest_rate,
    welch,
    wilson,
)

OUTPUT = Path(__file__).with_suffix(".csv")
SEED = 20260101
CLOSED_FORM_RUNS = 4000
BOOTSTRAP_RUNS = 1000
RESAMPLES = 1000
CORRELATION = 0.4

SIZES = {"2255, 2255, 642, 642": (2255, 2255, 642, 642), "4 x 100": (100, 100, 100, 100)}
RATES = {
    "distinct worst group": (0.97, 0.93, 0.88, 0.80),
    "groups one point apart": (0.93, 0.92, 0.91, 0.90),
    "two groups tie": (0.97, 0.93, 0.80, 0.80),
    "all groups tie": (0.90, 0.90, 0.90, 0.90),
}
PAIRS = {
    "same worst group": ((0.97, 0.93, 0.90, 0.80), (0.97, 0.94, 0.92, 0.85)),
    "different worst groups": ((0.97, 0.93, 0.80, 0.90), (0.97, 0.93, 0.92, 0.83)),
    "groups one point apart in one": ((0.90, 0.91, 0.92, 0.93), (0.97, 0.97, 0.97, 0.90)),
    "two groups tie in one": ((0.97, 0.93, 0.80, 0.80), (0.97, 0.93, 0.92, 0.80)),
    "all groups tie in one": ((0.90,) * 4, (0.97, 0.97, 0.97, 0.90)),
    "two groups tie in both": ((0.97, 0.93, 0.80, 0.80), (0.97, 0.93, 0.85, 0.85)),
    "all groups tie in both": ((0.90,) * 4, (0.90,) * 4),
}
SHARES = (0.73, 0.04, 0.01, 0.22)
SCORES = {
    "normal": lambda rng, size: rng.normal(0.2, 0.1, size),
    "skewed, in [0, 1]": lambda rng, size: rng.beta(0.5, 2.0, size),
    "half the images tie at 0": lambda rng, size: (
        rng.normal(0.05, 0.1, size) * (rng.random(size) < 0.5)
    ),
}
SCORES["one group of four varies most"] = lambda rng, size: rng.normal(
    0.2, np.where(np.arange(size) < size - size // 4, 0.01, 0.1)
)
SCORE_MEANS = dict.fromkeys(SCORES, 0.2) | {"half the images tie at 0": 0.025}
LAYOUTS = ((1, 2), (1, 4), (4, 2), (4, 4), (4, 10), (4, 40), (4, 160))
"""Groups, and images of each."""

Limits = tuple[float, float]
Row = dict[str, object]


def main() -> None:
    started = time.process_time()
    parts = (
        *(_rates, _worst_group, _averages, _paired, _paired_averages, _worst_differences),
        *(_swaps, _scores, _areas, _seeds, _mcnemar),
    )
    rows = [
        row
        for number, part in enumerate(parts)
        for row in part(np.random.default_rng([SEED, number]))
    ]
    pd.DataFrame(rows).to_csv(OUTPUT, index=False, lineterminator="\n")
    print(f"{OUTPUT}: {len(rows)} rows, {time.process_time() - started:.0f} s of CPU")


def _row(
    table: str, case: str, images: str, method: str, truth: float, found: Iterable[Limits]
) -> Row:
    """The share of intervals that hold the truth, and their mean width."""
    limits = np.asarray(list(found))
    held = (limits[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= limits[:, 1])
    return {
        "table": table,
        "case": case,
        "images": images,
        "method": method,
        "runs": len(limits),
        "coverage": round(float(held.mean()), 4),
        "below": round(float((limits[:, 1] < truth - 1e-12).mean()), 4),
        "above": round(float((limits[:, 0] > truth + 1e-12).mean()), 4),
        "width": round(float((limits[:, 1] - limits[:, 0]).mean()), 4),
    }


def _rates(rng: np.random.Generator) -> Iterator[Row]:
    for n, rate in product((100, 642, 2255), (0.5, 0.9, 0.99)):
        found = [wilson(int(right), n) for right in rng.binomial(n, rate, CLOSED_FORM_RUNS)]
        yield _row("rate", f"rate {rate}", str(n), "Wilson", rate, found)


def _worst_group(rng: np.random.Generator) -> Iterator[Row]:
    methods: dict[str, tuple[int, Callable[[Sequence[int], Sequence[int]], Limits]]] = {
        "Wilson, observed worst group": (CLOSED_FORM_RUNS, _wilson_worst),
        "near ties allowed for": (CLOSED_FORM_RUNS, smallest_rate),
        "bootstrap of the minimum": (
            BOOTSTRAP_RUNS,
            lambda right, ns: _bootstrap_minimum(right, ns, rng),
        ),
    }
    for (case, rates), (images, sizes) in product(RATES.items(), SIZES.items()):
        for method, (runs, interval) in methods.items():
            drawn = rng.binomial(sizes, rates, size=(runs, 4)).tolist()
            found = [interval(right, sizes) for right in drawn]
            yield _row("worst", case, images, method, min(rates), found)


def _wilson_worst(right: Sequence[int], ns: Sequence[int]) -> Limits:
    worst = int(np.argmin(np.array(right) / np.array(ns)))
    return wilson(right[worst], ns[worst])


def _bootstrap_minimum(right: Sequence[int], ns: Sequence[int], rng: np.random.Generator) -> Limits:
    rates = np.array(right) / np.array(ns)
    minima = (rng.binomial(ns, rates, size=(RESAMPLES, len(ns))) / np.array(ns)).min(axis=1)
    low, high = np.quantile(minima, [0.025, 0.975])
    return float(low), float(high)


def _averages(rng: np.random.Generator) -> Iterator[Row]:
    cases = {"0.97 0.93 0.88 0.80": (0.97, 0.93, 0.88, 0.80), "all 0.99": (0.99,) * 4}
    for (case, rates), (images, sizes) in product(cases.items(), SIZES.items()):
        drawn = rng.binomial(sizes, rates, size=(CLOSED_FORM_RUNS, 4)).tolist()
        total = sum(sizes)
        truth = float(np.dot(sizes, rates) / total)
        pooled = [wilson(sum(right), total) for right in drawn]
        yield _row("average", case, images, "accuracy, Wilson", truth, pooled)
        for name, weights in (("adjusted", SHARES), ("group mean", (0.25,) * 4)):
            found = [mover_weighted_sum(weights, right, sizes) for right in drawn]
            truth = float(np.dot(weights, rates))
            yield _row("average", case, images, f"{name}, MOVER", truth, found)


def _paired(rng: np.random.Generator) -> Iterator[Row]:
    shares = ((0.0, 0.0), (0.01, 0.01), (0.05, 0.10), (0.02, 0.30))
    for n, (only_a, only_b) in product((50, 180, 642), shares):
        cells = [only_a, only_b, 1 - only_a - only_b]
        drawn = rng.multinomial(n, cells, size=CLOSED_FORM_RUNS).tolist()
        found = [bonett_price(a, b, n) for a, b, _ in drawn]
        case = f"only a {only_a}, only b {only_b}"
        yield _row("paired", case, str(n), "Bonett-Price", only_b - only_a, found)


def _paired_averages(rng: np.random.Generator) -> Iterator[Row]:
    for case, (images, sizes) in product(
        ("same worst group", "all groups tie in one"), SIZES.items()
    ):
        a, b = PAIRS[case]
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
            yield _row("paired_average", f"{name}, {case}", images, "bootstrap", truth, found)


def _worst_differences(rng: np.random.Generator) -> Iterator[Row]:
    for (case, (a, b)), (images, sizes) in product(PAIRS.items(), SIZES.items()):
        tables = _tables(a, b, np.array(sizes), rng)
        truth = min(b) - min(a)
        found = [worst_limits(table) for table in tables]
        yield _row("worst_difference", case, images, "intersection bounds", truth, found)
        found = [_bootstrap_difference(table, rng) for table in tables]
        yield _row("worst_difference", case, images, "paired bootstrap", truth, found)


def _bootstrap_difference(table: NDArray[np.int64], rng: np.random.Generator) -> Limits:
    ns = table.sum(axis=1)
    cells = rng.multinomial(ns, table / ns[:, None], size=(RESAMPLES, len(ns))) / ns[:, None]
    worst_a, worst_b = ((cells[..., 0] + cells[..., k]).min(axis=1) for k in (1, 2))
    low, high = np.quantile(worst_b - worst_a, [0.025, 0.975])
    return float(low), float(high)


def _tables(
    a: Sequence[float], b: Sequence[float], ns: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(runs, groups, 4) paired tables whose judgements have correlation 0.4."""
    p, q = np.array(a), np.array(b)
    both = p * q + CORRELATION * np.sqrt(p * (1 - p) * q * (1 - q))
    both = np.minimum(both, np.minimum(p, q))
    cells = np.stack([both, p - both, q - both, 1 - p - q + both], axis=1)
    return rng.multinomial(ns, cells, size=(BOOTSTRAP_RUNS, len(ns)))


def _swaps(rng: np.random.Generator) -> Iterator[Row]:
    """Two runs' background gaps, and their shares of right images that the swap makes wrong."""
    states_a, states_b = np.array([0.60, 0.25, 0.05, 0.10]), np.array([0.80, 0.08, 0.04, 0.08])
    # per image and run: right in both variants, lost, won, wrong in both; the runs correlate
    joint = 0.7 * np.outer(states_a, states_b) + 0.3 * np.diag(np.minimum(states_a, states_b))
    joint /= joint.sum()
    gap = np.array([0, 1, -1, 0])
    change = gap[None, :] - gap[:, None]
    for images, sizes in {"4 x 40": (40,) * 4, "4 x 200": (200,) * 4}.items():
        ns = np.array(sizes)
        drawn = rng.multinomial(ns, joint.ravel(), size=(BOOTSTRAP_RUNS, len(ns)))
        weights = ns / ns.sum()
        found = [
            bootstrap_paired_rates(table, change.ravel(), weights, RESAMPLES, seed)[:2]
            for seed, table in enumerate(drawn)
        ]
        truth = float((joint * change).sum())
        yield _row("swap", "background gap", images, "bootstrap", truth, found)
        found = [
            bootstrap_statistic(table, partial(_lost, weights=weights), RESAMPLES, seed)[:2]
            for seed, table in enumerate(drawn)
        ]
        truth = float(_lost(joint.reshape(1, 1, 16), np.ones(1))[0])
        yield _row("swap", "lost by the swap", images, "bootstrap of a ratio", truth, found)


def _lost(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    cells = np.einsum("rgc,g->rc", shares, weights).reshape(len(shares), 4, 4)
    a, b = cells.sum(axis=2), cells.sum(axis=1)
    return np.asarray(b[:, 1] / (b[:, 0] + b[:, 1]) - a[:, 1] / (a[:, 0] + a[:, 1]))


def _scores(rng: np.random.Generator) -> Iterator[Row]:
    """Means of per-image scores, or of differences of two explainers or runs."""
    for (case, draw), (groups, images) in product(SCORES.items(), LAYOUTS):
        if groups == 1 and case == "one group of four varies most":
            continue
        strata = np.repeat(np.arange(groups), images)
        drawn = [draw(rng, strata.size) for _ in range(BOOTSTRAP_RUNS)]
        expanded = [bootstrap_mean(values, strata, RESAMPLES, 0)[:2] for values in drawn]
        methods = {"expanded bootstrap": expanded, "plain percentiles": _percentiles(drawn, strata)}
        for method, found in methods.items():
            yield _row("score", case, f"{groups} x {images}", method, SCORE_MEANS[case], found)


def _percentiles(
    drawn: list[NDArray[np.float64]], strata: NDArray[np.int64]
) -> list[tuple[float, float]]:
    """The interval without an expansion; the draws are those of every repetition."""
    chosen = np.random.default_rng(0).integers(0, 2**31, (RESAMPLES, len(strata)))
    starts, sizes = np.searchsorted(strata, strata), np.bincount(strata)[strata]
    places = starts + chosen % sizes
    limits = (np.quantile(values[places].mean(axis=1), [0.025, 0.975]) for values in drawn)
    return [(float(low), float(high)) for low, high in limits]


def _areas(rng: np.random.Generator) -> Iterator[Row]:
    from statistics import NormalDist

    for shift, n in product((1.0, 2.5), (40, 200)):
        truth = NormalDist().cdf(shift / np.sqrt(2))
        found = []
        for _ in range(CLOSED_FORM_RUNS // 2):
            area = auroc(rng.normal(shift, 1, n), rng.normal(0, 1, n))
            found.append((area.low, area.high))
        yield _row("area", f"AUROC {truth:.3f}", f"2 x {n}", "DeLong, logit", truth, found)


def _seeds(rng: np.random.Generator) -> Iterator[Row]:
    for seeds in (2, 3, 5, 10):
        for case, spread in {"equal spread": (0.01, 0.01), "unequal spread": (0.005, 0.03)}.items():
            shared = rng.normal(0, 0.02, size=(CLOSED_FORM_RUNS, 1, seeds))
            own = rng.normal(0, 1, size=(CLOSED_FORM_RUNS, 2, seeds)) * np.array(spread)[:, None]
            pairs = 0.8 + own + shared
            found = [paired_t(*pair)[:2] for pair in pairs]
            yield _row("seeds", case, f"{seeds} seeds", "paired t", 0.0, found)
            found = [welch(*pair)[:2] for pair in 0.8 + own]
            yield _row("seeds", case, f"{seeds} seeds", "Welch", 0.0, found)


def _mcnemar(rng: np.random.Generator) -> Iterator[Row]:
    """Here coverage is the share of equal models that are not called different."""
    for mean in (8, 20, 40, 200):
        drawn = rng.poisson(mean / 2, size=(CLOSED_FORM_RUNS, 2))
        cells, counts = np.unique(drawn, axis=0, return_counts=True)
        kept = np.array([mcnemar(*map(int, cell)) >= 0.05 for cell in cells])
        share = float(kept @ counts) / CLOSED_FORM_RUNS
        yield {
            "table": "mcnemar",
            "case": f"{mean} discordant pairs on average",
            "images": "",
            "method": "McNemar",
            "runs": CLOSED_FORM_RUNS,
            "coverage": round(share, 4),
        }


if __name__ == "__main__":
    main()
