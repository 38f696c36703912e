"""`ifambench train`: only the training part of a run."""

from __future__ import annotations

from pathlib import Path

from ifambench.cli import options
from ifambench.cli import options_training as training
from ifambench.cli.console import emit
from ifambench.cli.options import Format
from ifambench.cli.request import Compute, Explaining, Training, checked_request
from ifambench.cli.working import leading, stoppable


def command(
    model: training.ModelOption,
    suite: options.SuiteOrFileArgument = None,
    suite_file: options.SuiteFileOption = None,
    protocol: training.ProtocolOption = None,
    seed: training.SeedOption = 0,
    size: training.SizeOption = "default",
    data_dir: options.DataDirOption = None,
    pretrained: training.PretrainedOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    devices: training.DevicesOption = 1,
    num_nodes: training.NodesOption = 1,
    precision: training.PrecisionOption = None,
    output: options.OutputOption = Path("runs"),
    fresh: training.FreshOption = False,
    skip_bad_images: training.SkipBadImagesOption = False,
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

        with leading(request) as progress:
            weights = pipeline.train(request, progress)
    emit(format, {"weights": str(weights)}, [], lines=[str(weights)])
