"""The arguments and options of all commands, once: names, help, environment variables.

A command takes them as annotations (`seed: SeedOption = 0`), so an option means the same
everywhere. Names that come from a catalogue are completed by the shell.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MODEL_PANEL = "Model and training"
EXPLAIN_PANEL = "Explanations"
COMPUTE_PANEL = "Compute"
OUTPUT_PANEL = "Output"


class Format(StrEnum):
    """How results are written to standard output."""

    table = "table"
    json = "json"
    markdown = "markdown"
    github = "github"
    comment = "comment"
    csv = "csv"
    latex = "latex"


def _suites() -> list[str]:
    from ifambench.suites.catalog import suite_names

    return suite_names()


SuiteArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        help="Name of a suite, or path of a suite.toml.",
        show_default=False,
        autocompletion=_suites,
    ),
]
SuiteOrFileArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SUITE",
        help="Name of a suite, or path of a suite.toml; or --suite-file.",
        show_default=False,
        autocompletion=_suites,
    ),
]
SuiteFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Suite file to read, instead of SUITE.",
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
]
RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run folder, or a file in it.", show_default=False),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Weights of the run, where they are not in its folder.",
        exists=True,
        dir_okay=False,
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder that holds the folders of suites read from files; IFAMBENCH_DATA, or that of "
        "the user, when not given.",
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
]
BatchSizeOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Images per forward pass.",
        envvar="IFAMBENCH_BATCH_SIZE",
        rich_help_panel=COMPUTE_PANEL,
    ),
]
RunBatchSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Images per forward pass; 64, and for curves what suits the device, when not given.",
        envvar="IFAMBENCH_BATCH_SIZE",
        show_default=False,
        rich_help_panel=COMPUTE_PANEL,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="auto, cpu, mps, cuda or cuda:N.",
        envvar="IFAMBENCH_DEVICE",
        rich_help_panel=COMPUTE_PANEL,
    ),
]
_MOST_THREADS = 1024  # with some ten thousands torch ends in a segmentation fault


def _possible_threads(number: int | None) -> int | None:
    from ifambench.errors import UsageError

    if number is not None and number > _MOST_THREADS:
        raise UsageError(
            f"{number} threads are too many", where="--threads", choices=[f"1 to {_MOST_THREADS}"]
        )
    return number


ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="CPU threads; as many as torch chooses when not given.",
        callback=_possible_threads,
        envvar="IFAMBENCH_THREADS",
        show_default=False,
        rich_help_panel=COMPUTE_PANEL,
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Folder below which the run folders lie.",
        envvar="IFAMBENCH_OUTPUT",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
ResultsOption = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Folder of the committed runs.",
        envvar="IFAMBENCH_RESULTS",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
OfflineOption = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Download nothing: list all data and weights that are missing, and stop.",
        envvar="IFAMBENCH_OFFLINE",
        rich_help_panel=COMPUTE_PANEL,
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        help="json: one document; csv: its rows; latex: booktabs tables; github: annotations, and "
        "Markdown to $GITHUB_STEP_SUMMARY; comment: Markdown that fits a pull request.",
        envvar="IFAMBENCH_FORMAT",
        rich_help_panel=OUTPUT_PANEL,
    ),
]


def chosen_suite(name: str | None, file: Path | None, what: str = "suite") -> str:
    """The suite as `load_suite` takes it, from SUITE or --suite-file.

    Args:
        name: The argument.
        file: The option.
        what: What the argument can name.

    Raises:
        UsageError: If neither is given, or both.
    """
    from ifambench.errors import UsageError

    if (name is None) == (file is None):
        raise UsageError(
            f"no {what} is given"
            if name is None
            else f"{what.upper()} and --suite-file are both given",
            next_step=f"ifambench list{' suites' if what == 'suite' else ''}"
            if name is None
            else "give one of the two",
        )
    if file is None:
        return str(name)
    if file.suffix != ".toml":
        raise UsageError(
            f"{file} is not a suite file: its name does not end in .toml", where="--suite-file"
        )
    return str(file)
