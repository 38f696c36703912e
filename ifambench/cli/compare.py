"""`ifambench compare`: is B better than A, and does it pass the gates?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format
from ifambench.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from ifambench.cli.compare_view import Shown
    from ifambench.gates import Drop, Floor, GateResult
    from ifambench.records.store import LoadedRun

_HELP = "a run folder, a folder with the seeds of one model, or the name of a model."
_A = Annotated[str, typer.Argument(metavar="A", help=f"The baseline: {_HELP}", show_default=False)]
_B = Annotated[str, typer.Argument(metavar="B", help=f"The candidate: {_HELP}", show_default=False)]


def command(
    a: _A,
    b: _B,
    fail_under: options.FloorOption = None,
    max_drop: options.DropOption = None,
    strict: options.StrictOption = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Compare runs that differ in suite, data, protocol or status."
        ),
    ] = False,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Suite, where models are named.", show_default=False),
    ] = None,
    results: options.ResultsOption = Path("results"),
    format: options.FormatOption = Format.table,
) -> None:
    """Compare run B with the baseline A, with paired statistics on the same images.

    Folders with several training seeds are compared over the seeds that both
    have. Exit code 1 when a gate fails.
    """
    from ifambench.cli.compare_sides import matching_seeds, stored_runs
    from ifambench.gates import parse_drop, parse_floor

    floors = [parse_floor(text) for text in fail_under or ()]
    drops = [parse_drop(text) for text in max_drop or ()]
    runs_a, runs_b, dropped = matching_seeds(
        stored_runs(a, results, suite), stored_runs(b, results, suite)
    )
    shown = _compare(runs_a, runs_b, dropped, force)
    gates = _gates(shown, floors, drops, strict)
    emit(
        format,
        shown.data(gates),
        shown.sections(gates, with_text=format is not Format.table),
        lines=shown.lines() if format is Format.table else (),
        annotations=shown.annotations(gates),
    )
    _leave(gates)


def _compare(
    runs_a: Sequence[LoadedRun], runs_b: Sequence[LoadedRun], dropped: list[str], force: bool
) -> Shown:
    from ifambench.cli.compare_view import ShownRuns, ShownSeeds
    from ifambench.compare import compare_runs, compare_seeds

    if len(runs_a) == len(runs_b) == 1:
        return ShownRuns(compare_runs(runs_a[0], runs_b[0], force=force), dropped)
    if force:
        raise UsageError(
            "--force works on two runs, not on several seeds",
            next_step=f"ifambench compare {runs_a[0].folder} {runs_b[0].folder} --force",
        )
    names = (runs_a[0].record.model.name, runs_b[0].record.model.name)
    return ShownSeeds(compare_seeds(runs_a, runs_b), names, dropped)


def _gates(shown: Shown, floors: list[Floor], drops: list[Drop], strict: bool) -> list[GateResult]:
    from ifambench.gates import check_gates

    return check_gates(shown.gated, floors, drops, strict)


def _leave(gates: list[GateResult]) -> None:
    failed = [gate.name for gate in gates if not gate.passed]
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(gates)} gates failed", where="; ".join(dict.fromkeys(failed))
        )
