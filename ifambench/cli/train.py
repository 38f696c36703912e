"""`ifambench train`: only the training part of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.request import Compute, Explaining, Training, checked_request, stoppable


def command(
    suite: options.SuiteArgument,
    model: options.ModelOption,
    protocol: options.ProtocolOption = None,
    seed: options.SeedOption = 0,
    size: options.SizeOption = "default",
    data_dir: options.DataDirOption = None,
    pretrained: options.PretrainedOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    devices: options.DevicesOption = 1,
    num_nodes: options.NodesOption = 1,
    precision: options.PrecisionOption = None,
    output: options.OutputOption = Path("runs"),
    fresh: options.FreshOption = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Train a model and stop before it is measured; `run` goes on from there.

    Prints the path of the weights.
    """
    with stoppable():  # from here on: importing torch takes seconds too
        request = checked_request(
            Training(suite, model, protocol, seed, size, pretrained, data_dir),
            Explaining(),
            Compute(device, threads, devices=devices, num_nodes=num_nodes, precision=precision),
            output,
            fresh,
        )
        from ifambench import pipeline

        if pipeline.follows(request):
            pipeline.follow(request)
            raise typer.Exit
        with shown_progress(stderr()) as progress:
            weights = pipeline.train(request, progress)
    emit(format, {"weights": str(weights)}, [], lines=[str(weights)])
