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
GATE_PANEL = "Gates"

BATTERY_IMAGES = 200
SANITY_IMAGES = 50
"""Images of --battery and --sanity, drawn evenly over the groups."""


class Precision(StrEnum):
    """Arithmetic of training."""

    full = "32"
    bf16 = "bf16"
    half = "16"


class ExplainPrecision(StrEnum):
    """Arithmetic of the forward passes behind curves."""

    full = "32"
    bf16 = "bf16"


class Target(StrEnum):
    """The class that is explained."""

    predicted = "predicted"
    label = "label"


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


def _models() -> list[str]:
    from ifambench.cli.catalogues import MODELS

    return MODELS.names()


def _explainers() -> list[str]:
    from ifambench.cli.catalogues import EXPLAINERS

    return ["all", *EXPLAINERS.names()]


def operators() -> list[str]:
    """What a removed patch can become."""
    from typing import get_args

    from ifambench.suites.spec import Operator

    return list(get_args(Operator))


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
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Name of a model; MODEL+METHOD trains it with another method, MODEL@KEY=VALUE,... "
        "with other recipe fields. Given weights: ckpt:PATH, hf-hub:OWNER/REPO, "
        "timm:ARCHITECTURE.TAG.",
        show_default=False,
        autocompletion=_models,
        rich_help_panel=MODEL_PANEL,
    ),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Protocol of the suite; its default one when not given.",
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Seed of training.", rich_help_panel=MODEL_PANEL),
]
PretrainedOption = Annotated[
    Path | None,
    typer.Option(
        metavar="BACKBONE",
        help="Weights to start from instead of the model's own: a file, or timm:ARCHITECTURE.TAG.",
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
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
SizeOption = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="Number of training images, the other splits in proportion; or available: what the "
        "folder of the suite holds. Other sizes than the default are not ranked.",
        rich_help_panel=MODEL_PANEL,
    ),
]
ExplainerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--explainer",
        "-e",
        metavar="NAME",
        help="Explainer to measure, repeatable; all: every one that suits model and data; those "
        "of the model when not given.",
        show_default=False,
        autocompletion=_explainers,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
ImagesOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Explained images, drawn evenly over the groups, 0 for none; as in the protocol when "
        "not given.",
        show_default=False,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
StepsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|patch",
        help="Steps of the deletion and insertion curves, or one per patch; as in the protocol "
        "when not given.",
        show_default=False,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
QuickOption = Annotated[
    bool,
    typer.Option("--quick", help="Short for --steps 10.", rich_help_panel=EXPLAIN_PANEL),
]
OperatorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="NAME",
        help="What a removed patch becomes, repeatable: mean, blur, noise, black, drop (a shorter "
        "sequence) or model (the mask of a two-stage model). The first is the headline, the others "
        "are named EXPLAINER@OPERATOR; as in the protocol when not given.",
        show_default=False,
        autocompletion=operators,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
TargetOption = Annotated[
    Target | None,
    typer.Option(
        help="The class that is explained: the predicted one or the label; as in the protocol when "
        "not given.",
        show_default=False,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
ExplainPrecisionOption = Annotated[
    ExplainPrecision | None,
    typer.Option(
        help="Of the forward passes behind curves; 32 when not given.",
        show_default=False,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
BatteryOption = Annotated[
    bool,
    typer.Option(
        "--battery",
        help="Test also whether the model's own mask decides: what reaches the prediction from "
        "outside, what the mask itself tells, size-matched controls, an attack.",
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
BatteryImagesOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help=f"Images of --battery; {BATTERY_IMAGES} when not given.",
        show_default=False,
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
SanityOption = Annotated[
    bool,
    typer.Option(
        "--sanity",
        help="Check the explainers also: random weights, random logits, small noise, agreement "
        "with random deletions.",
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
SanityImagesOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help=f"Images of --sanity; {SANITY_IMAGES} when not given.",
        show_default=False,
        rich_help_panel=EXPLAIN_PANEL,
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
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="CPU threads; as many as torch chooses when not given.",
        envvar="IFAMBENCH_THREADS",
        show_default=False,
        rich_help_panel=COMPUTE_PANEL,
    ),
]
RemovePartsOption = Annotated[
    str | None,
    typer.Option(
        metavar="K,K,...",
        help="Parts of a two-stage model whose patches become background in the evaluation.",
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
]
MaskSamplesOption = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Evaluate a two-stage model also under N noisy masks; their seed is --seed.",
        rich_help_panel=EXPLAIN_PANEL,
    ),
]
DevicesOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes (cpu) or GPUs of a machine that train together, each on a part of a batch.",
        rich_help_panel=COMPUTE_PANEL,
    ),
]
NodesOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Machines that train together, under torchrun or srun.",
        rich_help_panel=COMPUTE_PANEL,
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        help="Of training: bf16 and 16 are mixed with 32; as in the recipe when not given.",
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
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start anew instead of resuming or reusing what is stored.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
SkipBadImagesOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-images",
        help="Leave out images that cannot be read instead of stopping at the first; the run is "
        "partial then (exit code 5) and not ranked.",
        rich_help_panel=MODEL_PANEL,
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
OpenOption = Annotated[
    bool,
    typer.Option("--open", help="Open the report in the browser.", rich_help_panel=OUTPUT_PANEL),
]
FloorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="Fail when B is worse than the value, repeatable: worst_group_accuracy=0.85, or of "
        "one group or explainer: srg:ifam-mask=0.1.",
        show_default=False,
        rich_help_panel=GATE_PANEL,
    ),
]
DropOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max-drop",
        metavar="METRIC=DROP",
        help="Fail when B is worse than A by more, repeatable: worst_group_accuracy=1pp (or 5%).",
        show_default=False,
        rich_help_panel=GATE_PANEL,
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="A drop within the noise fails too.", rich_help_panel=GATE_PANEL),
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
