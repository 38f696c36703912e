"""The outcome of a comparison as tables, lines, annotations and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import pandas as pd

from ifambench.comparison import Comparison, SeedComparison
from ifambench.gates import Drop, Floor, GateResult, check_gates
from ifambench.reports.comparison import (
    comparison_section,
    costs_section,
    explainers_section,
    explanations_section,
    holm_remark,
    overview_section,
    shown_rows,
)
from ifambench.reports.comparison_seeds import seeds_section
from ifambench.reports.section import ALWAYS, Column, Section

_LEVELS = {"ok": "notice", "inconclusive": "warning"}


class Shown(Protocol):
    """A comparison that can be shown and gated."""

    def gates(
        self, floors: Sequence[Floor], drops: Sequence[Drop], strict: bool
    ) -> list[GateResult]:
        """The gates, checked."""

    def overview(self) -> dict[str, Any]:
        """Names and the row of the primary metric, for a table of several candidates."""

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """The tables; with verdict and warnings as remarks, or without."""

    def lines(self) -> list[str]:
        """Verdict and warnings, as text."""

    def data(self, gates: Sequence[GateResult] | None) -> dict[str, Any]:
        """The outcome as plain data; None leaves the gates out."""

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Texts with their level."""


@dataclass(frozen=True)
class ShownRuns:
    """Two runs: the noise is that of the evaluated images."""

    outcome: Comparison
    notes: list[str]
    everything: bool = False

    def gates(
        self, floors: Sequence[Floor], drops: Sequence[Drop], strict: bool
    ) -> list[GateResult]:
        """The gates on the comparison itself."""
        return check_gates(self.outcome, floors, drops, strict)

    def overview(self) -> dict[str, Any]:
        """The row of the primary metric."""
        names = {"name_a": self.outcome.name_a, "name_b": self.outcome.name_b}
        return names | _primary(self.outcome.rows, self.outcome.primary)

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """Differences, explanations, costs, gates."""
        plain = replace(self.outcome, rows=shown_rows(self.outcome.rows, self.everything))
        main = comparison_section(plain)
        text = (self.outcome.verdict, *(f"Warning: {item}" for item in self._warnings()))
        remarks = holm_remark(self.outcome.candidates)
        main = replace(main, remarks=(*remarks, *text) if with_text else remarks)
        more = [explanations_section(self.outcome, self.everything)]
        more += [explainers_section(self.outcome)] if len(self.outcome.explainers) else []
        more += [costs_section(self.outcome)]
        return [main, *(item for item in more if item.rows), *_gate_sections(gates)]

    def lines(self) -> list[str]:
        """Verdict and warnings."""
        return _lines(self.outcome.verdict, self._warnings())

    def data(self, gates: Sequence[GateResult] | None) -> dict[str, Any]:
        """Every row with all its numbers."""
        return {
            "a": self.outcome.name_a,
            "b": self.outcome.name_b,
            "verdict": self.outcome.verdict,
            "forced": self.outcome.forced,
            "candidates": self.outcome.candidates,
            "rows": _records(self.outcome.rows),
            "explainers": _records(self.outcome.explainers),
            "costs": _records(self.outcome.costs),
            **_gate_data(gates),
            "warnings": self._warnings(),
        }

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Gates first, then the verdict and the warnings."""
        return _annotations(gates, [self.outcome.verdict], self._warnings())

    def _warnings(self) -> list[str]:
        return [*self.outcome.warnings, *self.notes]


@dataclass(frozen=True)
class ShownSeeds:
    """Several training seeds of two models: the noise is that of training."""

    outcome: SeedComparison
    notes: list[str]
    everything: bool = False

    def gates(
        self, floors: Sequence[Floor], drops: Sequence[Drop], strict: bool
    ) -> list[GateResult]:
        """The gates on the means over seeds."""
        rows = self.outcome.rows.rename(columns={"a_mean": "a", "b_mean": "b"})
        rows = rows.assign(n=rows[["a_n", "b_n"]].min(axis=1))
        means = Comparison(
            *self.outcome.names, rows, pd.DataFrame(), self.outcome.verdict, [], forced=False
        )
        return check_gates(means, floors, drops, strict)

    def overview(self) -> dict[str, Any]:
        """The row of the primary metric."""
        rows = self.outcome.rows.rename(columns={"a_mean": "a", "b_mean": "b", "b_n": "n"})
        names = dict(zip(("name_a", "name_b"), self.outcome.names, strict=True))
        return names | _primary(rows, self.outcome.primary)

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """Differences of the means over seeds, gates."""
        main = seeds_section(self.outcome, self.everything)
        text = tuple(self.lines()) if with_text else ()
        main = replace(main, remarks=(*main.remarks, *text))
        return [main, *_gate_sections(gates)]

    def lines(self) -> list[str]:
        """Verdict and warnings."""
        return _lines(self.outcome.verdict, [*self.outcome.warnings, *self.notes])

    def data(self, gates: Sequence[GateResult] | None) -> dict[str, Any]:
        """Every row with all its numbers."""
        return {
            "a": self.outcome.names[0],
            "b": self.outcome.names[1],
            "verdict": self.outcome.verdict,
            "forced": False,
            "candidates": self.outcome.candidates,
            "rows": _records(self.outcome.rows),
            **_gate_data(gates),
            "warnings": [*self.outcome.warnings, *self.notes],
        }

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Gates first, then the verdict and the warnings."""
        return _annotations(gates, [self.outcome.verdict], [*self.outcome.warnings, *self.notes])


@dataclass(frozen=True)
class ShownMany:
    """Several candidates, each against the same baseline: an overview, then one table each."""

    parts: list[Shown]

    def gates(
        self, floors: Sequence[Floor], drops: Sequence[Drop], strict: bool
    ) -> list[GateResult]:
        """The gates of each candidate, under its name."""
        return [
            replace(gate, name=f"{part.overview()['name_b']}: {gate.name}")
            for part in self.parts
            for gate in part.gates(floors, drops, strict)
        ]

    def overview(self) -> dict[str, Any]:
        """That of the first candidate."""
        return self.parts[0].overview()

    def sections(self, gates: Sequence[GateResult], *, with_text: bool) -> list[Section]:
        """The overview, the tables of each candidate, all gates."""
        found = [overview_section([part.overview() for part in self.parts])]
        for part in self.parts:
            found += part.sections([], with_text=with_text)
        return [*found, *_gate_sections(gates)]

    def lines(self) -> list[str]:
        """The verdict on each candidate, then the warnings, each once."""
        lines = [line for part in self.parts for line in part.lines()]
        warned = [line for line in lines if line.startswith(_WARNING)]
        return [*(line for line in lines if line not in warned), *dict.fromkeys(warned)]

    def data(self, gates: Sequence[GateResult] | None) -> dict[str, Any]:
        """Every comparison; the rows of all in one list, each with its candidate."""
        found = [part.data(None) for part in self.parts]
        rows = [{"candidate": item["b"], **row} for item in found for row in item.pop("rows")]
        return {"a": found[0]["a"], "comparisons": found, "rows": rows, **_gate_data(gates)}

    def annotations(self, gates: Sequence[GateResult]) -> dict[str, str]:
        """Gates first, then the verdicts and the warnings."""
        lines = self.lines()
        warned = [line.removeprefix(_WARNING) for line in lines if line.startswith(_WARNING)]
        return _annotations(gates, [x for x in lines if not x.startswith(_WARNING)], warned)


_WARNING = "Warning: "


def _lines(verdict: str, warnings: Sequence[str]) -> list[str]:
    return [verdict, *(f"{_WARNING}{text}" for text in warnings)]


def _primary(rows: pd.DataFrame, primary: str) -> dict[str, Any]:
    found = rows[rows["metric"] == primary]
    return {"metric": primary} if found.empty else dict(_records(found)[0])


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows of a frame, undefined values None."""
    found: list[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return found


def _gate_data(gates: Sequence[GateResult] | None) -> dict[str, Any]:
    if gates is None:
        return {}
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
    gates: Sequence[GateResult], verdicts: Sequence[str], warnings: Sequence[str]
) -> dict[str, str]:
    found = {f"{gate.name}: {gate.text}": _LEVELS.get(gate.outcome, "error") for gate in gates}
    return found | dict.fromkeys(verdicts, "notice") | dict.fromkeys(warnings, "warning")
