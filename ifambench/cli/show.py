"""`ifambench show`: everything about one suite, model, explainer, metric or run."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli.catalogues import EXPLAINERS, METRICS, MODELS
from ifambench.cli.console import emit, note, say
from ifambench.cli.options import Format
from ifambench.cli.request import check_picture
from ifambench.errors import EnvironmentProblem, UsageError, unknown_name

if TYPE_CHECKING:
    from ifambench.data.manifest import SuiteData
    from ifambench.progress import Progress
    from ifambench.suites.catalog import SuiteFile
    from ifambench.suites.spec import Suite

RUN_SCHEMA = "run-schema"


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A suite, model, explainer or metric, a run folder, or run-schema "
            "(the JSON Schema of run.json).",
            show_default=False,
        ),
    ] = None,
    suite_file: options.SuiteFileOption = None,
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="For a suite: draw N test images of each group with mask and variants.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the images are drawn; SUITE.png when not given."),
    ] = None,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Show what is known of a name."""
    name = options.chosen_suite(name, suite_file, "name")
    suite = _suite(name)
    if images is not None or out is not None:
        _draw(suite, name, images or 4, out, data_dir)
    elif suite is not None:
        from ifambench.cli.suite_view import suite_sections

        emit(format, _as_data(suite, data_dir), suite_sections(suite, data_dir))
    else:
        _other(name)(name, format)


def _as_data(file: SuiteFile, data_dir: Path | None) -> dict[str, Any]:
    """The suite file as it stands, and where its images are."""
    from ifambench.data.folders import data_state

    state, folder = data_state(file.suite, data_dir)
    data = {"state": state, "folder": None if folder is None else str(folder)}
    return {**file.suite.model_dump(mode="json", by_alias=True), "data": data}


def _suite(name: str) -> SuiteFile | None:
    from ifambench.suites.catalog import load_suite, suite_names

    return load_suite(name) if name.endswith(".toml") or name in suite_names() else None


def _other(name: str) -> Callable[[str, Format], None]:
    """What shows a name that is not a suite.

    Raises:
        UsageError: If nothing has the name.
    """
    if name == RUN_SCHEMA:
        return _show_schema
    if _is_model(name):
        return _show_model
    if name in EXPLAINERS.entries() or name in METRICS.entries():
        return _show_entry
    if len(Path(name).parts) > 1 or Path(name).exists():
        return _show_run
    raise _unknown(name)


def _is_model(name: str) -> bool:
    from ifambench.models.catalog import GIVEN, PUBLISHED

    base = re.split("[+@]", name)[0]
    return name.startswith(GIVEN) or base in PUBLISHED or base in MODELS.entries()


def _unknown(name: str) -> UsageError:
    from ifambench.suites.catalog import suite_names

    names = [*suite_names(), *MODELS.names(), *EXPLAINERS.names(), *METRICS.names(), RUN_SCHEMA]
    error = unknown_name("name", name, names, list_command="ifambench list")
    error.choices = ()  # too many to help; the nearest are named
    return error


def _show_schema(_: str, __: Format) -> None:
    from ifambench.cli.console import json_text
    from ifambench.records.schema import RunRecord

    say(json_text(RunRecord.model_json_schema()))


def _show_model(name: str, style: Format) -> None:
    from ifambench.models.catalog import choose_model

    choice = choose_model(name)
    found = {"method": choice.method, "labels_needed": choice.labels_needed}
    found |= dict(choice.overrides) | ({"source": choice.source} if choice.source else {})
    facts = {**choice.entry.info, **found, "module": choice.entry.module}
    _emit_facts(style, {"name": choice.label, **facts})


def _show_entry(name: str, style: Format) -> None:
    registry = EXPLAINERS if name in EXPLAINERS.entries() else METRICS
    entry = registry.entry(name)
    _emit_facts(style, {"name": name, "kind": registry.kind, "module": entry.module, **entry.info})


def _emit_facts(style: Format, facts: dict[str, Any]) -> None:
    from ifambench.cli.suite_view import facts_section

    rest = {key: value for key, value in facts.items() if key != "name"}
    emit(style, facts, [facts_section(facts["name"], rest)])


def _show_run(name: str, style: Format) -> None:
    from ifambench.cli.run_view import emit_record
    from ifambench.records.store import load_run

    run = load_run(Path(name))
    emit_record(style, run.record, lines=[f"{run.folder}: {run.record.status}", run.record.command])


def _draw(
    suite: SuiteFile | None, name: str, images: int, out: Path | None, data_dir: Path | None
) -> None:
    if suite is None:
        raise UsageError(
            f'"{name}" is not a suite, and only suites have images to draw',
            where="--images",
            next_step="ifambench list suites",
        )
    path = out or Path(f"{suite.suite.id}.png")
    check_picture(path, "--out")
    from ifambench.atomic import write_bytes_atomic
    from ifambench.cli.console import stderr
    from ifambench.cli.progress_view import shown_progress
    from ifambench.reports.contact_sheet import contact_sheet, sheet_rows

    split = suite.suite.protocol[suite.suite.default_protocol].eval_split
    with shown_progress(stderr()) as progress:
        data = _pictured(suite.suite, split, data_dir, progress)
        sheet = contact_sheet(sheet_rows(data, split, images))
    write_bytes_atomic(path, sheet)
    say(str(path))


def _pictured(suite: Suite, split: str, data_dir: Path | None, progress: Progress) -> SuiteData:
    """The images that are at hand; variants that cannot be made are left out and named."""
    from ifambench.data.load import AVAILABLE, DEFAULT_SIZE, load_data

    size = DEFAULT_SIZE if suite.source is None else AVAILABLE
    load = partial(load_data, suite, size, [split], progress, None, data_dir)
    variants = suite.variants_in(split)
    try:
        return load(variants)
    except EnvironmentProblem as error:
        if len(variants) == 1:
            raise
        data = load()
        note(f"warning: without variants: {error.what}")
        return data
