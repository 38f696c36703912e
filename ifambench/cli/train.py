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
    model: options.ModelOption,
    suite: options.SuiteOrFileArgument = None,
    suite_file: options.SuiteFileOption = None,
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
    skip_bad_images: options.SkipBadImagesOption = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Train a model and stop before it is measured; `run` goes on from there.

    Prints the path of the weights.
    """
    named = options.chosen_suite(suite, suite_file)
    with stoppable():  # from here on: importing torch takes seconds too
        request = checked_request(
            Training(named, model, protocol, seed, size, pretrained, data_dir, skip_bad_images),
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
