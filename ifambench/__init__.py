"""Worst-group accuracy and faithfulness of two-stage masked vision transformers (iFAM)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ifambench.api import Run, Side
    from ifambench.models.base import Classifier

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "leaderboard", "load_model", "load_run"]


def load_model(name: str, **options: Any) -> Classifier:
    """A model in eval mode, by name or path; see `ifambench.models.load.load_model`."""
    # torch is imported when a model is wanted, not before
    model: Classifier = importlib.import_module("ifambench.models.load").load_model(name, **options)
    return model


def load_run(path: str | Path) -> Run:
    """A stored run, its tables as DataFrames; see `ifambench.api.load_run`."""
    run: Run = importlib.import_module("ifambench.api").load_run(path)
    return run


def compare(a: Side, b: Side, *, force: bool = False) -> pd.DataFrame:
    """Candidate b against baseline a, one row per measure; see `ifambench.api.compare`."""
    rows: pd.DataFrame = importlib.import_module("ifambench.api").compare(a, b, force=force)
    return rows


def leaderboard(results: str | Path = "results") -> pd.DataFrame:
    """The models of all runs below a folder, ranked; see `ifambench.api.leaderboard`."""
    rows: pd.DataFrame = importlib.import_module("ifambench.api").leaderboard(results)
    return rows
