"""`ifambench validate`: does a suite file keep its promises?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ifambench.cli import options
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.errors import CheckFailed, IfamBenchError, UsageError

if TYPE_CHECKING:
    from ifambench.progress import Progress
    from ifambench.suites.spec import Suite


def command(
    suite: options.SuiteArgument,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Read a suite file, make or read its data, check counts and fingerprints.

    Exit code 1 on findings. Images that are not on this machine are no finding, unless --data-dir
    says where they should be.
    """
    with shown_progress(stderr()) as progress:
        findings, state = _findings(suite, data_dir, progress)
    unchecked = "; the images are not on this machine and were not checked"
    lines = findings or [f"{suite}: no findings{unchecked if state == 'not found' else ''}"]
    annotations = dict.fromkeys(findings, "error")
    data = {"suite": suite, "data": state, "findings": findings}
    emit(format, data, [], lines=lines, annotations=annotations)
    if findings:
        count = f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
        raise CheckFailed(count, where=suite, next_step="correct the suite file")


def _findings(
    name_or_path: str, data_dir: Path | None, progress: Progress
) -> tuple[list[str], str]:
    """What is wrong, and whether the images are generated, found or not found."""
    from ifambench.data.folders import data_state, find_data_folder
    from ifambench.suites.catalog import load_suite, suite_names

    path = Path(name_or_path)
    if path.is_dir():
        path = path / "suite.toml"
    if path.suffix != ".toml" and name_or_path not in suite_names():
        load_suite(name_or_path)  # explains that the name is unknown
    try:
        suite = load_suite(str(path)).suite
    except UsageError as error:
        if path.suffix == ".toml" and not path.is_file():
            raise
        return [_line(error)], "unknown"
    state, _ = data_state(suite, data_dir)
    if state == "not found" and data_dir is not None:
        find_data_folder(suite, data_dir)  # explains where it looked
    found = [*_contradictions(suite), *_recipe_findings(suite)]
    if state != "not found":
        found += _data_findings(suite, data_dir, progress)
    return found, state


def _contradictions(suite: Suite) -> list[str]:
    """What does not fit together within the file."""
    found = []
    for split, expected in suite.expected.items():
        key = f"expected.{split}"
        if split not in suite.splits:
            found.append(f"{key}: there is no such split in [splits]")
        elif expected.n != suite.splits[split]:
            found.append(f"{key}.n is {expected.n}, splits.{split} is {suite.splits[split]}")
        if sum(expected.groups) != expected.n:
            found.append(f"{key}.groups add up to {sum(expected.groups)}, not to {expected.n}")
        if len(expected.groups) != len(suite.groups.names):
            found.append(f"{key}.groups has {len(expected.groups)} counts for the declared groups")
    if suite.generation is not None:
        missing = [split for split in suite.splits if split not in suite.generation.fingerprint]
        if missing:
            lacking = ", ".join(missing)
            found.append(f"generation.fingerprint lacks {lacking}: pixels are not checked")
    return [*found, *_protocol_findings(suite)]


def _protocol_findings(suite: Suite) -> list[str]:
    found = []
    for name, protocol in suite.protocol.items():
        for key in ("train_split", "select_split", "eval_split"):
            split = getattr(protocol, key)
            if split not in suite.splits:
                found.append(f'protocol.{name}.{key} names no split: "{split}"')
        images = suite.splits.get(protocol.eval_split, 0)
        if protocol.explain.images > images:
            found.append(f"protocol.{name}.explain.images is larger than {images} images")
    return found


def _recipe_findings(suite: Suite) -> list[str]:
    from ifambench.train.recipes import recipe_for

    found = []
    for family in suite.recipe:
        try:
            recipe_for(suite, family)
        except UsageError as error:
            found.append(_line(error))
    return found


def _data_findings(suite: Suite, data_dir: Path | None, progress: Progress) -> list[str]:
    """What is wrong with the images of each split."""
    from ifambench.data.load import load_data

    found = []
    for split in suite.splits:
        try:
            load_data(suite, splits=[split], progress=progress, data_dir=data_dir)
        except IfamBenchError as error:
            found.append(_line(error))
    return list(dict.fromkeys(found))


def _line(error: IfamBenchError) -> str:
    return f"{error.what} ({error.where})" if error.where else error.what
