"""The run folder: where a run lies, what is in it, and how it is loaded.

`<output>/<suite>@<major>/<model>/<protocol>/seed<k>/` holds `run.json`, the stored tables, the
reports and, when they were kept, weights and a gallery of example images.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.atomic import write_bytes_atomic, write_text_atomic
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.metrics.base import TABLES, WHEN_MEASURED, Tables
from ifambench.records.key import digest
from ifambench.records.places import run_places
from ifambench.records.record import RECORD_FILE, read_record, record_text, write_record
from ifambench.records.schema import RunRecord, Table
from ifambench.records.tables import read_table, write_table

__all__ = [
    "LoadedRun",
    "digest",
    "find_runs",
    "load_curves",
    "load_gallery",
    "load_run",
    "load_training",
    "read_record",
    "read_table",
    "record_text",
    "run_folder",
    "write_bytes_atomic",
    "write_record",
    "write_table",
    "write_text_atomic",
]

EXPLANATION_COLUMNS = (
    *("id", "group", "y", "y_pred", "target", "explainer", "operator"),
    *("deletion_auc", "insertion_auc", "srg", "score_full", "score_empty", "relevance_mass"),
    *("mask_iou", "mask_precision", "mask_recall", "area", "n_ties", "constant_map"),
    *("deletion_auc_logit", "insertion_auc_logit", "srg_logit"),
    *("comprehensiveness", "sufficiency", "comp_mask", "suff_mask"),
    *("pointing", "rank_accuracy", "auroc", "gini", "entropy"),
)
"""Columns of the explanation table; older records lack those from `deletion_auc_logit` on."""

_PREDICTIONS, _EXPLANATIONS = "predictions.csv.gz", "explanations.csv.gz"
_CURVES, _TRAINING, _GALLERY = "curves.csv", "training.csv", "gallery.npz"
_SHOWN_RUNS = 8


@dataclass(frozen=True)
class LoadedRun:
    """A stored run with the tables everything is scored from.

    Attributes:
        folder: The run folder.
        record: The content of `run.json`.
        predictions: One row per image and variant.
        explanations: One row per image and explainer; without rows when nothing was explained.
        sanity: Checks of the explainers, or None when they were not made.
        battery: Tests of the model's own mask, or None.
        selections: The model's own masks, or None.
        mask_samples: Predictions under noisy masks, or None.
    """

    folder: Path
    record: RunRecord
    predictions: pd.DataFrame
    explanations: pd.DataFrame
    sanity: pd.DataFrame | None = None
    battery: pd.DataFrame | None = None
    selections: pd.DataFrame | None = None
    mask_samples: pd.DataFrame | None = None

    @property
    def tables(self) -> Tables:
        """The tables as metrics take them."""
        return Tables(**{name: getattr(self, name) for name in TABLES})


def run_folder(
    output: Path, suite_id: str, major: int, model: str, protocol: str, seed: int
) -> Path:
    """The folder of a run; the same run always has the same folder.

    >>> run_folder(Path("results"), "waterdigits", 1, "vit-ti", "standard", 0).as_posix()
    'results/waterdigits@1/vit-ti/standard/seed0'
    """
    suite = f"{_path_name(suite_id)}@{major}"
    return Path(output) / suite / _path_name(model) / _path_name(protocol) / f"seed{seed}"


def load_run(path: Path) -> LoadedRun:
    """Load a run from its folder, or from a file in it such as `run.json` or the report.

    Raises:
        UsageError: If there is no run; the message names runs near by.
        EnvironmentProblem: If the record or a table is missing or damaged.
    """
    folder = _folder_of(Path(path))
    record = read_record(folder)
    return LoadedRun(
        folder=folder,
        record=record,
        predictions=read_table(folder / _PREDICTIONS, record.tables.get("predictions")),
        explanations=_load_explanations(folder, record.tables.get("explanations")),
        **{
            name: read_table(folder / f"{name}.csv.gz", record.tables[name])
            for name in WHEN_MEASURED
            if name in record.tables
        },
    )


def find_runs(root: Path) -> list[Path]:
    """The folders that hold a run record, from `root` down to the depth of a run folder, sorted."""
    return [Path(root, *place) for place in run_places(root)]


def load_curves(folder: Path, expected: Table | None = None) -> pd.DataFrame | None:
    """The mean deletion and insertion curves, or None when nothing was explained."""
    return _load_optional(folder / _CURVES, expected)


def load_training(folder: Path, expected: Table | None = None) -> pd.DataFrame | None:
    """One row per epoch, or None when the model was not trained here."""
    return _load_optional(folder / _TRAINING, expected)


def load_gallery(folder: Path) -> dict[str, NDArray[np.generic]] | None:
    """The arrays of the example images, or None when they were not kept.

    Raises:
        EnvironmentProblem: If the file is damaged.
    """
    path = folder / _GALLERY
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise EnvironmentProblem(
            f"{path.name} is damaged: {error}",
            where=str(path),
            next_step=f"delete {path} (reports are then made without pictures) or run again",
        ) from error


def _path_name(name: str) -> str:
    """`name` where it can be a folder; else a safe form with a digest, so that none collide."""
    safe = re.sub(r"[^A-Za-z0-9._+@=,-]", "-", name).lstrip(".")
    return safe if safe == name else f"{safe}-{digest(name)[:8]}"


def _load_explanations(folder: Path, expected: Table | None) -> pd.DataFrame:
    frame = _load_optional(folder / _EXPLANATIONS, expected)
    return pd.DataFrame(columns=list(EXPLANATION_COLUMNS)) if frame is None else frame


def _load_optional(path: Path, expected: Table | None) -> pd.DataFrame | None:
    """The table, or None when it is neither there nor promised by the record."""
    return read_table(path, expected) if expected is not None or path.exists() else None


def _folder_of(path: Path) -> Path:
    folder = path.parent if path.is_file() or path.suffix in {".json", ".md", ".html"} else path
    if (folder / RECORD_FILE).is_file():
        return folder
    near = _near_runs(folder)
    raise UsageError(
        "no run here" if folder.is_dir() else "no such folder",
        where=str(path),
        choices=[str(run) for run in near],
        next_step=_next_command(folder, near),
    )


def _near_runs(folder: Path) -> list[Path]:
    """Runs below `folder`, else of the same model or suite by its path, else below results/."""
    same_suite = [parent for parent in folder.parents if "@" in str(parent)]
    for root in (folder, *same_suite, Path("results")):
        if found := find_runs(root):
            return found[:_SHOWN_RUNS]
    return []


def _next_command(folder: Path, near: list[Path]) -> str:
    for part, child in pairwise(folder.parts):
        if "@" in part:
            return f"ifambench run {part.partition('@')[0]} --model {child}"
    return f"ifambench report {near[0]}" if near else "ifambench run SUITE --model MODEL"
