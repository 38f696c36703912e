"""`ifambench run`: train if needed, predict, explain, score, record, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ifambench.cli import options
from ifambench.cli.console import note, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.request import Compute, Explaining, Training, checked_request, stoppable

if TYPE_CHECKING:
    from ifambench.records.store import LoadedRun


def command(
    suite: options.SuiteArgument,
    model: options.ModelOption,
    protocol: options.ProtocolOption = None,
    seed: options.SeedOption = 0,
    size: options.SizeOption = "default",
    data_dir: options.DataDirOption = None,
    pretrained: options.PretrainedOption = None,
    explainer: options.ExplainerOption = None,
    images: options.ImagesOption = None,
    steps: options.StepsOption = None,
    batch_size: options.BatchSizeOption = 64,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    devices: options.DevicesOption = 1,
    num_nodes: options.NodesOption = 1,
    precision: options.PrecisionOption = None,
    output: options.OutputOption = Path("runs"),
    fresh: options.FreshOption = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Train a model if needed, then measure it on a suite and write a run folder.

    The same command again resumes an unfinished run and reuses a finished one.
    """
    started = time.monotonic()
    with stoppable():  # from here on: importing torch takes seconds too
        request = checked_request(
            Training(suite, model, protocol, seed, size, pretrained, data_dir),
            Explaining(tuple(explainer or ()), images, steps),
            Compute(device, threads, batch_size, devices, num_nodes, precision),
            output,
            fresh,
        )
        from ifambench import pipeline

        if pipeline.follows(request):
            pipeline.follow(request)
            raise typer.Exit
        with shown_progress(stderr()) as progress:
            run = pipeline.run(request, progress)
    _show(run, format, time.monotonic() - started)


def _show(run: LoadedRun, style: Format, seconds: float) -> None:
    from ifambench.cli.next_run import next_command
    from ifambench.cli.run_view import emit_record, finish
    from ifambench.reports.numbers import duration

    report = run.folder / "report.html"
    data = {
        "folder": str(run.folder),
        "report": str(report),
        "seconds": round(seconds, 3),
        "record": run.record.model_dump(mode="json"),
    }
    emit_record(style, run.record, data, [f"{report}   {duration(seconds)}"])
    note(f"next: {next_command(run)}")
    finish(run.record)
