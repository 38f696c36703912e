"""The files of a run folder: how they are written, completed and removed."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pandas as pd

from ifambench.assemble import finished_record
from ifambench.data.manifest import SuiteData
from ifambench.data.swap.pairing import joined_tables
from ifambench.gallery import gallery_of
from ifambench.measuring import Measured
from ifambench.metrics.base import WHEN_MEASURED, Tables
from ifambench.plan import RunPlan
from ifambench.records.schema import Phase, RunRecord
from ifambench.records.store import (
    read_table,
    write_bytes_atomic,
    write_record,
    write_table,
)
from ifambench.reports.training_picture import write_training_picture
from ifambench.reports.write import write_reports
from ifambench.rescore import scored
from ifambench.train.fit import Fitted

_OF_EXPLANATIONS = tuple(f"{name}.csv.gz" for name in WHEN_MEASURED)
"""Tables that only some requests make."""
_REPORTS = ("report.md", "report.html")
_RUN_FILES = (
    *("run.json", "predictions.csv.gz", "explanations.csv.gz", "curves.csv", "training.csv"),
    *("pairing.csv.gz", "training.png", "weights.safetensors", "gallery.npz"),
    *_OF_EXPLANATIONS,
    *_REPORTS,
)


def store(
    plan: RunPlan,
    record: RunRecord,
    fitted: Fitted,
    data: SuiteData,
    predictions: pd.DataFrame,
    measured: Measured,
    phases: list[Phase],
) -> None:
    """Write tables and record; the record turns `complete` last, and is `started` meanwhile."""
    folder = plan.folder
    write_record(folder, record)
    for name in (*_OF_EXPLANATIONS, *_REPORTS):
        (folder / name).unlink(missing_ok=True)
    kept = {"predictions": predictions, **measured.tables}
    tables = {name: write_table(folder / f"{name}.csv.gz", kept[name]) for name in kept}
    tables["curves"] = write_table(folder / "curves.csv", measured.explained.curves)
    tables["training"] = write_table(folder / "training.csv", fitted.table)
    if data.tables:
        tables["pairing"] = write_table(folder / "pairing.csv.gz", _pairing(data))
    write_bytes_atomic(folder / "gallery.npz", gallery_of(data, predictions, measured.explained))
    record = finished_record(plan, record, fitted, data, tables, phases)
    record = record.model_copy(update={"explaining": measured.facts(plan)})
    # scored as `ifambench score` will do it: from the files
    read = {name: read_table(folder / tables[name].file, tables[name]) for name in kept}
    metrics = scored(Tables(**read), record)
    write_record(folder, record.model_copy(update={"metrics": metrics}))


def _pairing(data: SuiteData) -> pd.DataFrame:
    """Which background each object got, of all swaps, as text that is stored as it is."""
    text = joined_tables(data.tables.values())
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def finish(folder: Path) -> None:
    """What comes after the record is complete: the reports, and the end of the work folder."""
    if not (folder / "report.html").is_file():
        write_reports(folder)
        write_training_picture(folder)
    shutil.rmtree(folder / "work", ignore_errors=True)


def forget(folder: Path) -> None:
    """Remove what a former run left, but not foreign files."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)
