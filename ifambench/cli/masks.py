"""`ifambench masks`: how much of a two-stage model's prediction hangs on noise in its mask."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.request import check_device
from ifambench.cli.working import stoppable
from ifambench.reports import numbers
from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.loaded import RunModel
    from ifambench.mask_samples import NoiseReport, Spread
    from ifambench.progress import Progress


def command(
    run: options.RunArgument,
    samples: Annotated[
        int,
        typer.Option(
            "--mask-samples", "--samples", "-n", min=1, metavar="N", help="Noisy masks per image."
        ),
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the noise.")] = 0,
    weights: options.WeightsOption = None,
    data_dir: options.DataDirOption = None,
    batch_size: options.BatchSizeOption = 64,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Evaluate a stored two-stage model again, under noisy masks as in the published code.

    The noise belongs to the image and the seed. The stored numbers are those without noise.
    """
    check_device(device)
    with stoppable():
        from ifambench.loaded import load_run_model
        from ifambench.parts import two_stage
        from ifambench.plan_checks import find_device

        loaded = load_run_model(run, find_device(device, threads), weights, two_stage)
        with shown_progress(stderr()) as progress:
            report = measure_noise(loaded, samples, seed, batch_size, data_dir, progress)
    _show(format, loaded, report, seed)


def measure_noise(
    loaded: RunModel,
    samples: int,
    seed: int,
    batch_size: int,
    data_dir: Path | None,
    progress: Progress,
) -> NoiseReport:
    """Evaluate the model of a run under noisy masks."""
    from ifambench.loaded import evaluated_rows
    from ifambench.mask_samples import noise_report, sample_masks

    data, rows = evaluated_rows(loaded, data_dir, progress)
    found = sample_masks(
        loaded.model,
        data,
        rows,
        samples=samples,
        seed=seed,
        batch_size=batch_size,
        device=loaded.device,
        progress=progress,
    )
    return noise_report(found, data.suite.groups.names)


def noise_sections(report: NoiseReport) -> list[Section]:
    """The report as tables."""
    return [_accuracies(report), _rates(report)]


def _show(style: Format, loaded: RunModel, report: NoiseReport, seed: int) -> None:
    from ifambench.reports.summary import title

    emit(
        style,
        {"run": str(loaded.run.folder), "seed": seed, **asdict(report)},
        noise_sections(report),
        heading=f"{title(loaded.record)} under {report.samples} noisy masks "
        f"(seed {loaded.record.seed}, noise {seed})",
    )


def _accuracies(report: NoiseReport) -> Section:
    return Section(
        "noise",
        f"With and without noise, {numbers.count(report.images)} images",
        (
            Column("measure", "left", ALWAYS),
            Column("without noise", priority=ALWAYS),
            Column("mean", priority=ALWAYS),
            Column("std", priority=7),
            Column("lowest", priority=6),
            Column("highest", priority=6),
            Column("averaged", priority=5),
        ),
        (
            _spread_cells("accuracy", 0, report.accuracy, report),
            _spread_cells("worst-group accuracy", 1, report.worst_group_accuracy, report),
        ),
        (
            "Mean, standard deviation (ddof 1), lowest and highest over the noisy masks; averaged: "
            "the prediction from the mean probabilities.",
        ),
    )


def _spread_cells(name: str, place: int, spread: Spread, report: NoiseReport) -> tuple[str, ...]:
    places = numbers.decimals(None, None, report.images) + 1  # the spread is small
    values = (report.clean[place], spread.mean, spread.std, spread.low, spread.high)
    shown = (numbers.fraction(value, places) for value in (*values, report.averaged[place]))
    return (name, *shown)


def _rates(report: NoiseReport) -> Section:
    rates = {
        "predictions that differ from the noise-free one": report.flip_rate,
        "images with at least one such prediction": report.any_flip_rate,
        "patches that the noise adds or takes away": report.patch_flip_rate,
        "images without a selected patch, no noise": report.empty_rate,
        "noisy masks without a selected patch": report.noisy_empty_rate,
    }
    rows = tuple((name, numbers.fraction(rate, 4)) for name, rate in rates.items())
    columns = (Column("share of", "left", ALWAYS), Column("value", priority=ALWAYS))
    return Section("flips", "What the noise changes", columns, rows)
