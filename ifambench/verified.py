"""Whether the numbers of a stored run follow from its tables, for all runs of a folder.

A run is verified when every table that its record names is there with the digest of the record, and
a re-score of the tables gives every metric again. It is reported when it is not complete, has no
table of predictions, or is ranked by a metric that is not installed. Otherwise it differs.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from ifambench.errors import IfamBenchError
from ifambench.metrics.score import METRIC_REGISTRY
from ifambench.ranking import DIFFERS, REPORTED, VERIFIED
from ifambench.records.index import RunIndex
from ifambench.records.key import code_digest, digest
from ifambench.records.row import RunRow
from ifambench.records.store import LoadedRun, load_run
from ifambench.records.tables import check_table
from ifambench.rescore import metric_differences, scored

PREDICTIONS = "predictions.csv.gz"

_NUMERIC = ("numpy", "pandas", "scipy", "scikit-learn")


def differences(run: RunRow) -> list[str]:
    """The metrics and tables of a run that do not fit together; empty when all is well.

    Metrics that are not installed (of a plug-in) are left out.
    """
    try:
        loaded = load_run(run.folder)
        _check_tables(loaded)
        fresh = scored(loaded.tables, loaded.record)
    except IfamBenchError as error:
        return [f"{error.what} ({error.where})" if error.where else error.what]
    known = METRIC_REGISTRY.names()
    return metric_differences([row for row in loaded.record.metrics if row.metric in known], fresh)


def can_be_verified(run: RunRow) -> bool:
    """Whether there is something to compute the numbers of a run from."""
    is_there = PREDICTIONS in run.tables or (run.folder / PREDICTIONS).exists()
    return run.status == "complete" and is_there and run.primary in METRIC_REGISTRY.names()


def evidence_of(runs: list[RunRow], index: RunIndex) -> dict[str, str]:
    """`VERIFIED`, `REPORTED` or `DIFFERS` by place, taken from the index where nothing changed."""
    key = scoring_digest()
    return {run.place: _evidence(run, index, key) for run in runs}


def outcome(found: list[str]) -> str:
    """What differences, or their absence, say of a run that can be verified."""
    return DIFFERS if found else VERIFIED


def scoring_digest() -> str:
    """Changes with everything that a re-score depends on beside the run: code and packages."""
    here = Path(__file__)
    files = [here, here.with_name("rescore.py")]
    own = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    parts = [own, code_digest(("metrics", "records")), METRIC_REGISTRY.names()]
    return digest([*parts, [version(name) for name in _NUMERIC]])


def _evidence(run: RunRow, index: RunIndex, key: str) -> str:
    if not can_be_verified(run):
        return REPORTED
    files = [run.folder / name for name in sorted({PREDICTIONS, *run.tables})]
    found = index.note(run, key, files, lambda: outcome(differences(run)))
    return found if found in (VERIFIED, DIFFERS) else outcome(differences(run))


def _check_tables(run: LoadedRun) -> None:
    """The digests of the tables that `load_run` leaves alone, such as the curves."""
    for table in run.record.tables.values():
        check_table(run.folder / table.file, table)
