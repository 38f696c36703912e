"""`ifambench pretrain`: make a backbone like the shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifambench.cli import options
from ifambench.cli import options_training as training
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import MODEL_PANEL, OUTPUT_PANEL, Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.request import check_writable
from ifambench.cli.working import stoppable

_Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="Path of the weights without suffix; runs/backbone-SUITE when not given.",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
    ),
]
_Steps = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Steps of the optimiser; as for the shipped backbone when not given.",
        show_default=False,
        rich_help_panel=MODEL_PANEL,
    ),
]


def command(
    suite: options.SuiteArgument,
    seed: training.SeedOption = 0,
    steps: _Steps = None,
    threads: options.ThreadsOption = None,
    output: _Output = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Pretrain a backbone on the unlabelled images of a suite (self-supervised).

    Writes PATH.safetensors and PATH.json; `run --pretrained` takes the first.
    """
    from ifambench.suites.catalog import load_suite

    spec = load_suite(suite).suite
    path = output or Path("runs") / f"backbone-{spec.id}"
    check_writable(path.parent)
    from ifambench.train.pretrain import PretrainRequest, pretrain

    request = PretrainRequest(suite=suite, output=path, seed=seed, steps=steps, threads=threads)
    with stoppable(), shown_progress(stderr()) as progress:
        weights = pretrain(request, progress)
    emit(format, {"weights": str(weights)}, [], lines=[str(weights)])
