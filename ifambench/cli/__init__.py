"""The command line: `ifambench COMMAND`, one file per command.

Commands import what they need inside their bodies, so that `--help` and `list` never wait for
torch. Exit codes: 0 done, 1 a gate or check failed, 2 usage, 3 data or environment missing,
4 internal error, 5 finished but partial, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ifambench import __version__
from ifambench.cli import data_app, suite_init
from ifambench.cli.console import show_error, silence
from ifambench.cli.crash import machine_problem, report_crash
from ifambench.cli.streams import prepare_streams
from ifambench.errors import (
    EXIT_INTERNAL,
    EXIT_OK,
    IfamBenchError,
    RunInterrupted,
)

COMMANDS = {
    "run": "run",
    "train": "train",
    "pretrain": "pretrain",
    "explain": "explain",
    "score": "score",
    "parts": "parts",
    "masks": "masks",
    "compare": "compare",
    "leaderboard": "leaderboard",
    "report": "report",
    "list": "list_names",
    "show": "show",
    "validate": "validate",
    "doctor": "doctor",
}
"""The module of each command; its function `command` is the command."""


class _Group(TyperGroup):
    """The commands, in their order; Ctrl-C ends them all with the same message and code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise RunInterrupted("interrupted") from None


app = typer.Typer(
    cls=_Group,
    help="Does an image classifier look at the object, and does it survive when the background "
    "lies? Worst-group accuracy, background swaps and faithfulness, with intervals.",
    epilog="Exit codes: 0 done, 1 a gate or check failed, 2 usage, 3 data or environment missing, "
    "4 internal error, 5 partial, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for _name, _module in COMMANDS.items():
    app.command(_name)(importlib.import_module(f"ifambench.cli.{_module}").command)
app.add_typer(data_app.app, name="data")
app.add_typer(suite_init.app, name="suite")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ifambench {__version__}")
        raise typer.Exit


@app.callback()
def _settings(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    from ifambench.settings import option_defaults

    context.default_map = {name: option_defaults(Path(), name) for name in COMMANDS}
    context.default_map["data"] = {
        name: option_defaults(Path(), name) for name in data_app.COMMANDS
    }
    context.default_map["suite"] = {"init": option_defaults(Path(), "init")}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        args: The arguments; those of the process by default.
    """
    prepare_streams()
    try:
        code = _run(args)
    except IfamBenchError as error:
        code = _told(error)
    except Exception as error:  # noqa: BLE001  (the one place where a bug becomes an exit code)
        problem = machine_problem(error)
        code = _told(problem) if problem else report_crash(error)
    return _flushed(code)


def _run(args: Sequence[str] | None) -> int:
    """The exit code that the command itself gives."""
    try:
        app(args=args, prog_name="ifambench")
    except SystemExit as done:
        if isinstance(done.__context__, BrokenPipeError):  # who read the help went away
            return EXIT_OK
        return done.code if isinstance(done.code, int) else EXIT_INTERNAL
    return EXIT_OK


def _flushed(code: int) -> int:
    """Write out what is left, so that Python has nothing to complain about at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        problem = machine_problem(error)
        return _told(problem) if problem else code
    return code


def _told(error: IfamBenchError) -> int:
    show_error(error)
    return error.exit_code
