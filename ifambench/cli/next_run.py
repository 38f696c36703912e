"""The command that makes most sense after a run: compare it, or run what it compares with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ifambench.cli.catalogues import MODELS
from ifambench.errors import IfamBenchError
from ifambench.models.catalog import GIVEN_ENTRY

if TYPE_CHECKING:
    from ifambench.records.schema import RunRecord
    from ifambench.records.store import LoadedRun

_BASELINE = "erm"


def next_command(run: LoadedRun) -> str:
    """`ifambench compare` with a comparable run next to this one, else a run to compare with."""
    for folder, record in _neighbours(run):
        pair = [(record, folder), (run.record, run.folder)]
        if run.record.model.method == _BASELINE != record.model.method:
            pair.reverse()
        return _shell("compare", *(str(path) for _, path in pair))
    return _run_command(run)


def _neighbours(run: LoadedRun) -> list[tuple[Path, RunRecord]]:
    """Comparable runs of other models on the suite with the same seed, baselines first."""
    from ifambench.comparable import record_differences
    from ifambench.records.store import find_runs, read_record

    found = []
    for folder in find_runs(run.folder.parents[2]):
        try:
            record = read_record(folder)
        except IfamBenchError:  # a damaged neighbour is not the matter here
            continue
        other = record.model.name != run.record.model.name and record.seed == run.record.seed
        if other and not record_differences(run.record, record):
            found.append((folder, record))
    return sorted(found, key=lambda item: (item[1].model.method != _BASELINE, item[0]))


def _run_command(run: LoadedRun) -> str:
    """A run of another model of this size that needs no extra labels, the plainest by name."""
    record, output = run.record, run.folder.parents[3]
    entries = MODELS.entries()
    size = entries[own].info.get("size") if (own := record.model.architecture) in entries else None
    others = [e for e in entries.values() if e.name != own and e.info.get("size") == size]
    plain = [entry.name for entry in others if entry.info.get("labels_needed") == "none"]
    first = (f"vit-{size}", f"ifam-vit-{size}")  # what a reader asks for next
    if own == GIVEN_ENTRY.name:  # given weights have no size
        return _shell("list", "models")
    model = min(plain, key=lambda name: (name not in first, len(name), name), default="MODEL")
    asked = shlex.split(record.command)
    suite = asked[2]  # as the user wrote it: a name or a path
    words = ["run", suite, "--model", model, "--seed", str(record.seed)]
    for option in ("--protocol", "--data-dir"):
        words += asked[asked.index(option) :][:2] if option in asked else []
    words += ["--skip-bad-images"] if "--skip-bad-images" in asked else []
    if record.suite.size != "default":  # else the two runs could not be compared
        words += ["--size", record.suite.size]
    return _shell(*words, "--output", str(output))


def _shell(*words: str) -> str:
    return shlex.join(["ifambench", *words])
