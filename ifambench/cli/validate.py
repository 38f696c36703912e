"""`ifambench validate`: does a suite file keep its promises?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifambench.cli import options
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.errors import CheckFailed, IfamBenchError, UsageError

if TYPE_CHECKING:
    from ifambench.progress import Progress
    from ifambench.suites.spec import Suite


@dataclass(frozen=True)
class _Verdict:
    """What was found.

    Attributes:
        suite: Name or path.
        data: `generated`, `found`, `not found`, `not checked`, or `unknown` for a broken file.
        findings: What is wrong.
        notes: What is not wrong, but should be known.
    """

    suite: str
    data: str
    findings: list[str]
    notes: list[str]

    def lines(self, *, single: bool) -> list[str]:
        """The verdict as text; of several suites each line names its own."""
        unchecked = "; the images are not on this machine and were not checked"
        good = f"{self.suite}: no findings{unchecked if self.data == 'not found' else ''}"
        before = "" if single else f"{self.suite}: "
        found = [f"{before}{text}" for text in self.findings] or [good]
        return found + [f"{before}note: {text}" for text in self.notes]


def command(
    suite: options.SuiteOrFileArgument = None,
    suite_file: options.SuiteFileOption = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="All suites, as without a name: the files alone, not their images."
        ),
    ] = False,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Read every image and mask, too; look for images in two splits."
        ),
    ] = False,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Read a suite file, make its images or read their list, check counts and fingerprints.

    Exit code 1 on findings. Images that are not on this machine are no finding,
    unless --data-dir says where they should be.
    """
    if every or (suite is None and suite_file is None):
        _refuse_more(suite or suite_file, deep, data_dir)
        _show(_every_suite(), format, single=False)
        return
    name = options.chosen_suite(suite, suite_file)
    with shown_progress(stderr()) as progress:
        _show([_examine(name, data_dir, deep, progress)], format, single=True)


def _refuse_more(named: object, deep: bool, data_dir: Path | None) -> None:
    if named is not None or deep or data_dir is not None:
        raise UsageError(
            "all suites are validated without their images",
            where="--all",
            next_step="ifambench validate SUITE [--deep] [--data-dir DIR]",
        )


def _show(verdicts: list[_Verdict], style: Format, *, single: bool) -> None:
    findings = [text for item in verdicts for text in item.findings]
    data = [asdict(item) for item in verdicts]
    lines = [line for item in verdicts for line in item.lines(single=single)]
    annotations = {
        text if single else f"{item.suite}: {text}": "error"
        for item in verdicts
        for text in item.findings
    }
    emit(style, data[0] if single else data, [], lines=lines, annotations=annotations)
    if findings:
        raise CheckFailed(
            f"{len(findings)} findings" if len(findings) > 1 else "1 finding",
            where=", ".join(item.suite for item in verdicts if item.findings),
            next_step=f"correct the suite file{_or_data(verdicts)}",
        )


def _or_data(verdicts: list[_Verdict]) -> str:
    """Where images were looked at, they may be what is wrong."""
    return ", or the data" if any(item.data == "found" for item in verdicts) else ""


def _every_suite() -> list[_Verdict]:
    from ifambench.suites.catalog import suite_names

    return [_examine_file(name)[0] for name in suite_names()]


def _examine(name_or_path: str, data_dir: Path | None, deep: bool, progress: Progress) -> _Verdict:
    """A suite with its data, as far as they are at hand."""
    from ifambench.data.folders import data_state, find_data_folder

    verdict, suite = _examine_file(name_or_path)
    if suite is None:
        return verdict
    state, _ = data_state(suite, data_dir)
    if state == "not found" and data_dir is not None:
        find_data_folder(suite, data_dir)  # explains where it looked
    found, notes = ([], []) if state == "not found" else _of_data(suite, data_dir, deep, progress)
    notes = [*verdict.notes, *notes]
    return _Verdict(verdict.suite, state, [*verdict.findings, *found], notes)


def _examine_file(name_or_path: str) -> tuple[_Verdict, Suite | None]:
    """The file alone; None for a suite that the schema refuses."""
    from ifambench.cli.suite_checks import file_findings, file_notes, line_of
    from ifambench.suites.catalog import load_suite, suite_names

    path = Path(name_or_path)
    if path.is_dir() and name_or_path not in suite_names():
        path = path / "suite.toml"
    named = path.suffix != ".toml"
    if named and name_or_path not in suite_names():
        load_suite(name_or_path)  # explains that the name is unknown
    try:
        suite = load_suite(str(path)).suite
    except UsageError as error:
        if not named and not path.is_file():
            raise
        return _Verdict(name_or_path, "unknown", [line_of(error)], []), None
    found = file_findings(suite)
    if named and suite.id != name_or_path:
        found.append(f'id is "{suite.id}", but the folder of the file is "{name_or_path}"')
    return _Verdict(name_or_path, "not checked", found, file_notes(suite)), suite


def _of_data(
    suite: Suite, data_dir: Path | None, deep: bool, progress: Progress
) -> tuple[list[str], list[str]]:
    """What is wrong with the images of each split, and what is worth a look."""
    if suite.source is None:
        return _of_generated(suite, progress), []
    from ifambench.data.folders import find_data_folder
    from ifambench.data.verify import verify_suite

    found = verify_suite(suite, find_data_folder(suite, data_dir), progress, fast=not deep)
    lines: dict[str, list[str]] = {"error": [], "note": []}
    for item in found:
        lines[item.level].append(f"{item.kind}: {item.detail} ({item.where})")
    return lines["error"], lines["note"]


def _of_generated(suite: Suite, progress: Progress) -> list[str]:
    from ifambench.cli.suite_checks import line_of
    from ifambench.data.load import load_data

    found = []
    for split in suite.splits:
        try:
            load_data(suite, splits=[split], progress=progress)
        except IfamBenchError as error:
            found.append(line_of(error))
    return list(dict.fromkeys(found))
