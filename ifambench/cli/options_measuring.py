"""The options of `run` that say what is measured of a trained model, and how."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ifambench.cli.options import EXPLAIN_PANEL, MODEL_PANEL

BATTERY_IMAGES = 200
SANITY_IMAGES = 50
"""Images of --battery and --sanity, drawn evenly over the groups."""


class Target(StrEnum):
    """The class that is explained."""

    predicted = "predicted"
    label = "label"


class ExplainPrecision(StrEnum):
    """Arithmetic of the forward passes behind curves."""

    full = "32"
    bf16 = "bf16"


def _explainers() -> list[str]:
    from ifambench.cli.catalogues import EXPLAINERS

    return ["all", *EXPLAINERS.names()]


def operators() -> list[str]:
    """What a removed patch can become."""
    from typing import get_args

    from ifambench.suites.spec import Operator

    return list(get_args(Operator))


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
RemovePartsOption = Annotated[
    list[str] | None,
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
