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
    from ifambench.cli.compare_sides import Side
    from ifambench.cli.compare_view import Shown
    from ifambench.gates import Drop, Floor, GateResult
    from ifambench.records.store import LoadedRun

_PANEL = "Gates"

_A = Annotated[
    str,
    typer.Argument(
        metavar="A",
        help="The baseline: a run folder, a folder with the seeds of one model, the name of a "
        "model, or a git revision of the results (REV or REV:PATH).",
        show_default=False,
    ),
]
_B = Annotated[
    list[str],
    typer.Argument(metavar="B", help="The candidates, named alike.", show_default=False),
]
_Floors = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="Fail when B is worse than the value, repeatable: worst_group_accuracy=0.85, or of "
        "one group or explainer: srg:ifam-mask=0.1.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
_Drops = Annotated[
    list[str] | None,
    typer.Option(
        "--max-drop",
        metavar="METRIC=DROP",
        help="Fail when B is worse than A by more, repeatable: worst_group_accuracy=1pp (or 5%).",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
_Strict = Annotated[
    bool,
    typer.Option("--strict", help="A drop within the noise fails too.", rich_help_panel=_PANEL),
]


def command(
    context: typer.Context,
    a: _A,
    b: _B,
    fail_under: _Floors = None,
    max_drop: _Drops = None,
    strict: _Strict = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Compare runs that differ in suite, data, protocol or status."
        ),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every measure, also those that JSON has only.")
    ] = False,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Suite, where models or revisions are named.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model, where revisions are named.", show_default=False),
    ] = None,
    results: options.ResultsOption = Path("results"),
    format: options.FormatOption = Format.table,
) -> None:
    """Compare runs B with the baseline A, with paired statistics on the same images.

    Folders with several training seeds are compared over the seeds that both
    have. Exit code 1 when a gate fails.

    ifambench compare main HEAD --suite waterdigits --model vit-micro
    """
    from ifambench.cli.compare_sides import Place, read_side

    _read_bars(fail_under, max_drop)  # a bar that cannot be read is told before anything is loaded
    place = Place(results, suite, model)
    sides = [read_side(text, place) for text in (a, *b)]
    shown = _compare(sides, force, everything)
    bars = _bars(context, sides[0].runs[0].record.suite.id)
    gates = shown.gates(*_read_bars(bars["fail_under"], bars["max_drop"]), bool(bars["strict"]))
    emit(
        format,
        shown.data(gates),
        shown.sections(gates, with_text=format is not Format.table),
        lines=shown.lines() if format is Format.table else (),
        annotations=shown.annotations(gates),
    )
    _leave(gates)


def _compare(sides: Sequence[Side], force: bool, everything: bool) -> Shown:
    """Each candidate with the baseline: single runs together, and seeds together (Holm)."""
    from ifambench.cli.compare_sides import matching_seeds
    from ifambench.cli.compare_view import ShownMany, ShownRuns, ShownSeeds
    from ifambench.compare_seeds import compare_seed_sets
    from ifambench.comparison import compare_candidates

    pairs = [matching_seeds(sides[0].runs, side.runs) for side in sides[1:]]
    origins = [side.origin for side in sides]
    single = [len(mine) == len(other) == 1 for mine, other, _ in pairs]
    if force and not all(single):
        raise _forced_seeds(pairs[single.index(False)])
    shown: dict[int, Shown] = {}
    ones, several = ([k for k, one in enumerate(single) if one is kind] for kind in (True, False))
    for baseline in dict.fromkeys(pairs[k][0][0].folder for k in ones):
        part = [k for k in ones if pairs[k][0][0].folder == baseline]
        named = [origins[0], *(origins[k + 1] for k in part)]
        candidates = [pairs[k][1][0] for k in part]
        outcomes = compare_candidates(pairs[part[0]][0][0], candidates, force=force, origins=named)
        for k, outcome in zip(part, outcomes, strict=True):
            shown[k] = ShownRuns(outcome, pairs[k][2], everything)
    if several:
        named = [origins[0], *(origins[k + 1] for k in several)]
        for k, found in zip(
            several, compare_seed_sets([pairs[k][:2] for k in several], named), strict=True
        ):
            shown[k] = ShownSeeds(found, pairs[k][2], everything)
    return shown[0] if len(pairs) == 1 else ShownMany([shown[k] for k in range(len(pairs))])


def _forced_seeds(pair: tuple[list[LoadedRun], list[LoadedRun], list[str]]) -> UsageError:
    return UsageError(
        "--force works on single runs, not on several seeds",
        next_step=f"ifambench compare {pair[0][0].folder} {pair[1][0].folder} --force",
    )


def _bars(context: typer.Context, suite: str) -> dict[str, object]:
    """The gates that hold: the command line before `[gate.SUITE]` before `[gate]`."""
    from ifambench.settings import suite_gates

    of_suite = suite_gates(Path(), suite)
    found: dict[str, object] = {}
    for name in ("fail_under", "max_drop", "strict"):
        source = context.get_parameter_source(name)
        written = source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
        stated = context.params[name]
        found[name] = stated if written else of_suite.get(name, stated)
    return found


def _read_bars(floors: object, drops: object) -> tuple[list[Floor], list[Drop]]:
    from ifambench.gates import parse_drop, parse_floor

    texts = [
        list(map(str, item)) if isinstance(item, list | tuple) else [] for item in (floors, drops)
    ]
    return [parse_floor(text) for text in texts[0]], [parse_drop(text) for text in texts[1]]


def _leave(gates: list[GateResult]) -> None:
    failed = [gate.name for gate in gates if not gate.passed]
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(gates)} gates failed", where="; ".join(dict.fromkeys(failed))
        )
