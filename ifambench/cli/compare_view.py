"""The outcome of a comparison as tables, lines, annotations and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import pandas as pd

from ifambench.compare import Comparison, SeedComparison
from ifambench.gates import GateResult
from ifambench.reports import numbers
from ifambench.reports.comparison import comparison_section, explainers_section
from ifambench.reports.rows import label
from ifambench.reports.section import ALWAYS, INTERVAL, Column, Section

_LEVELS = {"ok": "notice", "inconclusive": "warning"}


class Shown(Protocol):
    """A comparison that can be shown and gated."""

    @property
    def gated(self) -> Comparison:
        """What the gates are checked on."""

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """The tables; with verdict and warnings as remarks, or without."""

    def lines(self) -> list[str]:
        """Verdict and warnings, as text."""

    def data(self, gates: Sequence[GateResult]) -> dict[str, Any]:
        """The outcome as plain data."""

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Texts with their level."""


@dataclass(frozen=True)
class ShownRuns:
    """Two runs: the noise is that of the evaluated images."""

    outcome: Comparison
    notes: list[str]

    @property
    def gated(self) -> Comparison:
        """The comparison itself."""
        return self.outcome

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """Differences, explainers, gates."""
        main = comparison_section(self.outcome)
        text = {self.outcome.verdict, *(f"Warning: {item}" for item in self.outcome.warnings)}
        if not with_text:
            main = replace(main, remarks=tuple(item for item in main.remarks if item not in text))
        explainers = [explainers_section(self.outcome)] if len(self.outcome.explainers) else []
        return [main, *explainers, *_gate_sections(gates)]

    def lines(self) -> list[str]:
        """Verdict and warnings."""
        return _lines(self.outcome.verdict, [*self.outcome.warnings, *self.notes])

    def data(self, gates: Sequence[GateResult]) -> dict[str, Any]:
        """Every row with all its numbers."""
        return {
            "a": self.outcome.name_a,
            "b": self.outcome.name_b,
            "verdict": self.outcome.verdict,
            "forced": self.outcome.forced,
            "rows": _records(self.outcome.rows),
            "explainers": _records(self.outcome.explainers),
            **_gate_data(gates),
            "warnings": [*self.outcome.warnings, *self.notes],
        }

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Gates first, then the verdict and the warnings."""
        return _annotations(gates, self.outcome.verdict, [*self.outcome.warnings, *self.notes])


@dataclass(frozen=True)
class ShownSeeds:
    """Several training seeds of two models: the noise is that of training."""

    outcome: SeedComparison
    names: tuple[str, str]
    notes: list[str]

    @property
    def gated(self) -> Comparison:
        """The means over seeds in the form in which gates read a comparison."""
        rows = self.outcome.rows.rename(columns={"a_mean": "a", "b_mean": "b"})
        rows = rows.assign(group="all", explainer=None, n=rows[["a_n", "b_n"]].min(axis=1))
        nothing = pd.DataFrame()
        return Comparison(*self.names, rows, nothing, self.outcome.verdict, [], forced=False)

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """Differences of the means over seeds, gates."""
        text = tuple(self.lines()) if with_text else ()
        main = Section(
            "seeds",
            f"B: {self.names[1]}, compared with A: {self.names[0]}, over training seeds",
            (
                Column("measure", "left", ALWAYS),
                Column("A", priority=6),
                Column("B", priority=7),
                Column("B - A", priority=ALWAYS),
                Column(INTERVAL, priority=8),
                Column("p", priority=4),
                Column("seeds", priority=3),
            ),
            tuple(_seed_cells(row) for row in self.outcome.rows.to_dict("records")),
            ("Mean ± standard deviation (ddof 1) over seeds; Student's t between them.", *text),
        )
        return [main, *_gate_sections(gates)]

    def lines(self) -> list[str]:
        """Verdict and warnings."""
        return _lines(self.outcome.verdict, [*self.outcome.warnings, *self.notes])

    def data(self, gates: Sequence[GateResult]) -> dict[str, Any]:
        """Every row with all its numbers."""
        return {
            "a": self.names[0],
            "b": self.names[1],
            "verdict": self.outcome.verdict,
            "rows": _records(self.outcome.rows),
            **_gate_data(gates),
            "warnings": [*self.outcome.warnings, *self.notes],
        }

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Gates first, then the verdict and the warnings."""
        return _annotations(gates, self.outcome.verdict, [*self.outcome.warnings, *self.notes])


def _lines(verdict: str, warnings: Sequence[str]) -> list[str]:
    return [verdict, *(f"Warning: {text}" for text in warnings)]


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows of a frame, undefined values None."""
    found: list[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return found


def _gate_data(gates: Sequence[GateResult]) -> dict[str, Any]:
    found = [{**asdict(gate), "passed": gate.passed} for gate in gates]
    return {"gates": found, "passed": all(gate.passed for gate in gates)}


def _gate_sections(gates: Sequence[GateResult]) -> list[Section]:
    columns = (
        Column("gate", "left", ALWAYS),
        Column("outcome", "left", ALWAYS),
        Column("numbers", "left", ALWAYS),
    )
    cells = tuple((gate.name, gate.outcome, gate.text) for gate in gates)
    return [Section("gates", "Gates", columns, cells)] if gates else []


def _annotations(
    gates: Sequence[GateResult], verdict: str, warnings: Sequence[str]
) -> dict[str, str]:
    found = {f"{gate.name}: {gate.text}": _LEVELS.get(gate.outcome, "error") for gate in gates}
    return found | {verdict: "notice"} | dict.fromkeys(warnings, "warning")


def _seed_cells(row: dict[Any, Any]) -> tuple[str, ...]:
    low, high, p, delta = (_number(row[key]) for key in ("ci_low", "ci_high", "p", "delta"))
    places = numbers.decimals(low, high, 300)
    counts = (row["a_n"], row["b_n"])
    return (
        label(row["metric"]),
        _mean(row, "a"),
        _mean(row, "b"),
        numbers.points(delta, places),
        numbers.points_interval(low, high, places),
        numbers.p_value(p),
        str(counts[0]) if counts[0] == counts[1] else f"{counts[0]}, {counts[1]}",
    )


def _mean(row: dict[Any, Any], side: str) -> str:
    std = _number(row[f"{side}_std"])
    mean = numbers.fraction(_number(row[f"{side}_mean"]), 3)
    return mean if std is None else f"{mean} ± {std:.3f}"


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
