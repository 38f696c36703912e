"""`ifambench parts`: what each part of a two-stage model is worth."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.request import check_device
from ifambench.cli.working import stoppable
from ifambench.errors import UsageError
from ifambench.reports import numbers
from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.loaded import RunModel
    from ifambench.parts import Evaluation, PartsReport, Removal
    from ifambench.progress import Progress


class Compat(StrEnum):
    """Which scores a threshold leaves."""

    none = "none"
    official = "official"


def command(
    run: options.RunArgument,
    remove_parts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K,K,...",
            help="Parts to remove together, repeatable; each part alone is always shown.",
            show_default=False,
        ),
    ] = None,
    quantile: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="Q",
            help="Take a part away from patches whose dot product with its prototype is below this "
            "quantile of the training images.",
            show_default=False,
        ),
    ] = None,
    compat: Annotated[
        Compat,
        typer.Option(
            help="official: thresholds replace distances by dot products, as the published code "
            "does."
        ),
    ] = Compat.none,
    weights: options.WeightsOption = None,
    data_dir: options.DataDirOption = None,
    batch_size: options.BatchSizeOption = 64,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Evaluate a stored two-stage model again, without each of its parts.

    The patches of a removed part become background. Nothing is trained.
    """
    check_device(device)
    if compat is not Compat.none and quantile is None:
        raise UsageError(
            "there are no thresholds whose scores it could say",
            where="--compat",
            next_step="--quantile Q, for instance 0.05",
        )
    with stoppable():
        from ifambench.loaded import load_run_model
        from ifambench.parts import check_parts, parse_parts, two_stage
        from ifambench.plan_checks import find_device

        combinations = [parse_parts(text) for text in remove_parts or ()]
        loaded = load_run_model(run, find_device(device, threads), weights, two_stage)
        check_parts(loaded.model, combinations)
        with shown_progress(stderr()) as progress:
            report = _measure(
                loaded, combinations, quantile, compat.value, data_dir, batch_size, progress
            )
    _show(format, loaded, report, {"quantile": quantile, "compat": compat.value})


def _measure(
    loaded: RunModel,
    combinations: list[tuple[int, ...]],
    quantile: float | None,
    compat: str,
    data_dir: Path | None,
    batch_size: int,
    progress: Progress,
) -> PartsReport:
    from ifambench.loaded import split_data
    from ifambench.parts import Evaluation, leave_parts_out, thresholds_of

    asked = loaded.record.protocol
    train = [] if quantile is None else [asked.train_split or "train"]
    data = split_data(loaded, [*train, asked.eval_split], data_dir, progress)

    def on(split: str) -> Evaluation:
        return Evaluation(data, data.rows(split), batch_size, loaded.device, progress)

    model, base = loaded.model, None
    if quantile is not None:
        base = thresholds_of(model, on(train[0]), quantile, compat)
    return leave_parts_out(model, on(asked.eval_split), combinations, base)


def _show(style: Format, loaded: RunModel, report: PartsReport, settings: dict[str, Any]) -> None:
    from ifambench.loaded import changed_predictions
    from ifambench.reports.summary import title

    record, warnings = loaded.record, []
    plain = settings["quantile"] is None
    changed = changed_predictions(loaded, report.predictions) if plain else 0
    if changed:
        warnings = [f"{changed} of {report.images} predictions are not those that were stored"]
    warnings += _empty_warnings(report)
    data = {
        "run": str(loaded.run.folder),
        **settings,
        "images": report.images,
        "num_parts": report.num_parts,
        "whole": asdict(report.whole),
        "removals": [asdict(removal) for removal in report.removals],
        "warnings": warnings,
    }
    emit(
        style,
        data,
        [_main_section(report), _groups_section(report)],
        heading=f"{title(record)} without some of its parts (seed {record.seed}"
        f"{_thresholds(settings)})",
        lines=[f"Warning: {text}" for text in warnings],
        annotations=dict.fromkeys(warnings, "warning"),
    )


def _thresholds(settings: dict[str, Any]) -> str:
    if settings["quantile"] is None:
        return ""
    scores = ", dot products for scores" if settings["compat"] == Compat.official else ""
    return f"; thresholds in all rows: quantile {settings['quantile']:g}{scores}"


def _empty_warnings(report: PartsReport) -> list[str]:
    """Images that stage 2 sees nothing of are never silent, however narrow the table is."""
    found = [item for item in (report.whole, *report.removals) if item.empty]
    listed = ", ".join(f"{_name(item)}: {numbers.count(item.empty)}" for item in found)
    return [f"images without any patch left, by what is removed: {listed}"] if found else []


def _main_section(report: PartsReport) -> Section:
    rows = (report.whole, *report.removals)
    return Section(
        "parts",
        f"Parts removed, {numbers.count(report.images)} images",
        (
            Column("removed", "left", ALWAYS),
            Column("of the selection", priority=6),
            Column("images", priority=5),
            Column("accuracy", priority=7),
            Column("change", priority=7),
            Column("worst group", priority=ALWAYS),
            Column("change of it", priority=ALWAYS),
            Column("which", "left", 4),
            Column("flips", priority=3),
            Column("empty", priority=2),
        ),
        tuple(_cells(item, report) for item in rows),
        (
            "Of the selection: share of the selected patches that belong to these parts; images: "
            "those with such a patch; flips: share of changed predictions; empty: images for which "
            "no patch is left.",
        ),
    )


def _cells(item: Removal, report: PartsReport) -> tuple[str, ...]:
    whole, places = report.whole, numbers.decimals(None, None, report.images)
    drop = item.accuracy - whole.accuracy
    worst_drop = item.worst_group_accuracy - whole.worst_group_accuracy
    some = bool(item.parts)
    return (
        _name(item),
        numbers.fraction(item.share, places) if some else "",
        numbers.count(item.present) if some else "",
        numbers.fraction(item.accuracy, places),
        numbers.points(drop, places) if some else "",
        numbers.fraction(item.worst_group_accuracy, places),
        numbers.points(worst_drop, places) if some else "",
        item.worst_group,
        numbers.fraction(item.flip_rate, places) if some else "",
        numbers.count(item.empty),
    )


def _groups_section(report: PartsReport) -> Section:
    places = numbers.decimals(None, None, report.images // len(report.whole.groups))
    rows = (report.whole, *report.removals)
    return Section(
        "part_groups",
        "Accuracy by group",
        (Column("removed", "left", ALWAYS), *(Column(name) for name in report.whole.groups)),
        tuple(
            (_name(item), *(numbers.fraction(rate, places) for rate in item.groups.values()))
            for item in rows
        ),
    )


def _name(item: Removal) -> str:
    return "+".join(map(str, item.parts)) or "nothing"
