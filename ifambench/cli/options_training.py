"""The options of the commands that train: what, on what data, from where, on how many machines."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ifambench.cli.options import COMPUTE_PANEL, MODEL_PANEL, OUTPUT_PANEL


class Precision(StrEnum):
    """Arithmetic of training."""

    full = "32"
    bf16 = "bf16"
    half = "16"


def _models() -> list[str]:
    from ifambench.cli.catalogues import MODELS

    return MODELS.names()


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
SizeOption = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="Number of training images, the other splits in proportion; or available: what the "
        "folder of the suite holds. Other sizes than the default are not ranked.",
        rich_help_panel=MODEL_PANEL,
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
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start anew instead of resuming or reusing what is stored.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
