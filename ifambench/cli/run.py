"""`ifambench run`: train if needed, predict, explain, score, record, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ifambench.cli import options
from ifambench.cli import options_measuring as measuring
from ifambench.cli import options_training as training
from ifambench.cli.console import note
from ifambench.cli.options import Format
from ifambench.cli.request import (
    ALL,
    Compute,
    Explaining,
    Training,
    checked_request,
    number_or,
)
from ifambench.cli.working import leading, stoppable
from ifambench.errors import UsageError

if TYPE_CHECKING:
    from ifambench.records.store import LoadedRun

_QUICK_STEPS = 10


def command(
    model: training.ModelOption,
    suite: options.SuiteOrFileArgument = None,
    suite_file: options.SuiteFileOption = None,
    protocol: training.ProtocolOption = None,
    seed: training.SeedOption = 0,
    size: training.SizeOption = "default",
    data_dir: options.DataDirOption = None,
    pretrained: training.PretrainedOption = None,
    explainer: measuring.ExplainerOption = None,
    images: measuring.ImagesOption = None,
    steps: measuring.StepsOption = None,
    quick: measuring.QuickOption = False,
    operator: measuring.OperatorOption = None,
    target: measuring.TargetOption = None,
    explain_precision: measuring.ExplainPrecisionOption = None,
    battery: measuring.BatteryOption = False,
    battery_images: measuring.BatteryImagesOption = None,
    sanity: measuring.SanityOption = False,
    sanity_images: measuring.SanityImagesOption = None,
    batch_size: options.RunBatchSizeOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    devices: training.DevicesOption = 1,
    num_nodes: training.NodesOption = 1,
    precision: training.PrecisionOption = None,
    remove_parts: measuring.RemovePartsOption = None,
    mask_samples: measuring.MaskSamplesOption = 0,
    output: options.OutputOption = Path("runs"),
    fresh: training.FreshOption = False,
    skip_bad_images: training.SkipBadImagesOption = False,
    offline: options.OfflineOption = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Train a model if needed, then measure it on a suite and write a run folder.

    The same command again resumes an unfinished run and reuses a finished one.
    """
    started, named = time.monotonic(), options.chosen_suite(suite, suite_file)
    with stoppable():  # from here on: importing torch takes seconds too
        measured = Explaining(
            tuple(explainer or ()),
            number_or(ALL, images, "--images"),
            _steps(steps, quick),
            tuple(operator or ()),
            target and target.value,
            explain_precision and explain_precision.value,
            _how_many("--battery", battery, battery_images, measuring.BATTERY_IMAGES),
            _how_many("--sanity", sanity, sanity_images, measuring.SANITY_IMAGES),
            _parts(remove_parts),
            mask_samples,
        )
        request = checked_request(
            Training(named, model, protocol, seed, size, pretrained, data_dir, skip_bad_images),
            measured,
            Compute(device, threads, batch_size, devices, num_nodes, precision),
            output,
            fresh,
            offline,
        )
        from ifambench import pipeline

        with leading(request) as progress:
            run = pipeline.run(request, progress)
    _show(run, format, time.monotonic() - started)


def _steps(text: str | None, quick: bool) -> int | str | None:
    if quick and text is not None:
        raise UsageError("--quick and --steps are both given", next_step="give one of the two")
    return _QUICK_STEPS if quick else number_or("patch", text, "--steps", lowest=1)


def _how_many(option: str, wanted: bool, images: str | None, default: int) -> int | str:
    """How many images something optional is done on, 0 if it is not asked for."""
    if not wanted and images is not None:
        raise UsageError(
            f"{option}-images has no effect without {option}", next_step=f"add {option}"
        )
    number = number_or(ALL, images, f"{option}-images", lowest=1)
    return 0 if not wanted else default if number is None else number


def _parts(texts: list[str] | None) -> tuple[int, ...]:
    """All of them together, also of an option that is given several times."""
    if not texts:
        return ()
    from ifambench.parts import parse_parts

    return parse_parts(",".join(texts))


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
