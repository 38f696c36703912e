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

if TYPE_CHECKING:
    from ifambench.loaded import RunModel
    from ifambench.progress import Progress
    from ifambench.records.schema import RunRecord


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
            record = _measured(loaded, samples, seed, batch_size, data_dir, progress)
    _show(format, loaded.run.folder, record)


def _measured(
    loaded: RunModel,
    samples: int,
    seed: int,
    batch_size: int,
    data_dir: Path | None,
    progress: Progress,
) -> RunRecord:
    """The record of the run with the numbers of its model under noisy masks in place of its own."""
    from ifambench.loaded import evaluated_rows
    from ifambench.metrics.mask_noise import with_and_without_noise
    from ifambench.metrics.score import context_of
    from ifambench.predict.mask_samples import sample_masks
    from ifambench.records.schema import Metric

    data, rows = evaluated_rows(loaded, data_dir, progress)
    table = sample_masks(
        loaded.model,
        data,
        rows,
        samples=samples,
        seed=seed,
        batch_size=batch_size,
        device=loaded.device,
        progress=progress,
    )
    drawn = {"mask_samples": {"samples": samples, "seed": seed}}
    found = with_and_without_noise(table, context_of(loaded.record))
    metrics = [Metric(**asdict(row)) for row in found]
    return loaded.record.model_copy(update={"metrics": metrics, "explaining": drawn})


def _show(style: Format, run: Path, record: RunRecord) -> None:
    from ifambench.reports.noise_tables import noise_tables
    from ifambench.reports.summary import title

    drawn = record.explaining["mask_samples"]
    emit(
        style,
        {"run": str(run), **drawn, "metrics": [item.model_dump() for item in record.metrics]},
        noise_tables(record),
        heading=f"{title(record)}, noisy masks per image: {drawn['samples']} "
        f"(seed {record.seed}, noise {drawn['seed']})",
    )
