"""`ifambench explain`: what a model says of one image, and which patches it says it for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli import options_measuring as measuring
from ifambench.cli.console import emit, note, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.request import (
    Explaining,
    check_device,
    check_explaining,
    check_picture,
    number_or,
)
from ifambench.cli.working import stoppable
from ifambench.errors import UsageError
from ifambench.reports import numbers
from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.explain_image import ImageExplanation

_PLACES = 3


_Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.", show_default=False)]
_Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A run folder, or given weights: ckpt:PATH, hf-hub:OWNER/REPO, timm:ARCHITECTURE.TAG.",
        show_default=False,
        rich_help_panel=options.MODEL_PANEL,
    ),
]
_Target = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        help="Name or index of the class to explain; the predicted one when not given.",
        show_default=False,
        rich_help_panel=options.EXPLAIN_PANEL,
    ),
]
_Steps = Annotated[
    str,
    typer.Option(
        metavar="N|patch",
        help="Steps of the deletion and insertion curves, or one per patch.",
        rich_help_panel=options.EXPLAIN_PANEL,
    ),
]
_Picture = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Picture of all maps, a PNG file; IMAGE-explained.png here when not given.",
        show_default=False,
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]


def command(
    image: _Image,
    model: _Model,
    explainer: measuring.ExplainerOption = None,
    target: _Target = None,
    steps: _Steps = "16",
    batch_size: options.BatchSizeOption = 64,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    picture: _Picture = None,
    offline: options.OfflineOption = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Explain the prediction of a model for one image.

    Prints the prediction and what its explanations are worth on this image, and writes a picture
    with the maps and, of a two-stage model, its mask and parts.
    """
    check_device(device)
    explainers = tuple(explainer or ())
    check_explaining(Explaining(explainers))
    number = number_or("patch", steps, "--steps", lowest=1)
    path = _picture_path(picture, image)
    with stoppable():
        from ifambench.atomic import write_bytes_atomic
        from ifambench.cli.offline import go_offline
        from ifambench.reports.map_sheet import map_sheet

        if offline:
            go_offline()
        from ifambench.explain_image import ImageRequest, explain_image
        from ifambench.plan_checks import find_device

        place = find_device(device, threads)
        asked = ImageRequest(image, model, explainers, target, number, batch_size, place, offline)
        with shown_progress(stderr()) as progress:
            found = explain_image(asked, progress)
        write_bytes_atomic(path, map_sheet(found.sheet))
    _show(format, image, found, path)


def _picture_path(given: Path | None, image: Path) -> Path:
    path = given or Path(f"{image.stem}-explained.png")
    if path.resolve() == image.resolve():
        raise UsageError(f"{path} is the image itself", where="--output")
    check_picture(path, "--output")
    return path


def _show(style: Format, image: Path, found: ImageExplanation, picture: Path) -> None:
    classes = [{"index": k, "class": name, "probability": p} for k, name, p in found.top]
    data: dict[str, Any] = {
        "image": str(image),
        "model": found.model,
        "prediction": classes,
        "target": {"index": found.target, "class": found.name, "probability": found.probability},
        "explainers": found.table.to_dict("records"),
        "left_out": found.left_out,
        "picture": str(picture),
    }
    if found.left_out:
        note(f"left out: {', '.join(found.left_out)}")
    emit(
        style,
        data,
        [_prediction_section(found), _explainers_section(found)],
        heading=f"{image.name} by {found.model}",
        lines=[str(picture)],
    )


def _prediction_section(found: ImageExplanation) -> Section:
    return Section(
        "prediction",
        "Prediction",
        (Column("class", "left", ALWAYS), Column("probability", priority=ALWAYS)),
        tuple((name, numbers.fraction(p, _PLACES)) for _, name, p in found.top),
    )


def _explainers_section(found: ImageExplanation) -> Section:
    masks = bool(found.table["area"].notna().any())
    return Section(
        "explainers",
        f"Explanations of {found.name} ({numbers.fraction(found.probability, _PLACES)})",
        (
            Column("explainer", "left", ALWAYS),
            Column("deletion", priority=ALWAYS),
            Column("insertion", priority=ALWAYS),
            Column("SRG", priority=ALWAYS),
            Column("Gini", priority=6),
            *([Column("kept", priority=7)] if masks else []),
        ),
        tuple(
            (
                row["explainer"],
                numbers.fraction(row["deletion_auc"], _PLACES),
                numbers.fraction(row["insertion_auc"], _PLACES),
                numbers.signed(row["srg"], _PLACES),
                _known(row["gini"]),
                *([_known(row["area"])] if masks else []),
            )
            for row in found.table.to_dict("records")
        ),
        (
            "Deletion and insertion: mean probability while patches are removed or added in the "
            "order of the map; SRG: insertion minus deletion. random is the floor; one image "
            "says little.",
            *(["Kept: share of the patches in a mask."] if masks else []),
        ),
    )


def _known(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else numbers.fraction(value, _PLACES)
