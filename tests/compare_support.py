"""Synthetic runs for the tests of comparison and leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ifambench.metrics.base import Tables
from ifambench.metrics.score import context_of, score_tables
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import LoadedRun, write_record, write_table

GROUPS = ("land", "water")

RECORD: dict[str, Any] = {
    "ifambench_version": "0.1.0",
    "status": "complete",
    "key": {},
    "suite": {
        "id": "waterdigits",
        "version": "1.2.0",
        "digest": "aa",
        "data_digest": "bb",
        "size": "default",
    },
    "model": {
        "name": "vit",
        "architecture": "vit",
        "method": "erm",
        "labels_needed": "none",
        "parameters": 10,
        "capabilities": [],
        "data_config": {},
        "patch_grid": (4, 4),
        "weights": {"sha256": "cc", "source": "trained here"},
    },
    "protocol": {
        "name": "standard",
        "train_split": "train",
        "select_split": "val",
        "eval_split": "test",
        "selection": "val_wga",
        "primary_metric": "worst_group_accuracy",
        "variants": ["original"],
    },
    "seed": 0,
    "recipe": {},
    "command": "ifambench run waterdigits --model vit",
    "groups": list(GROUPS),
    "train_shares": [0.9, 0.1],
    "minority": ["water"],
    "environment": {
        "python": "3.11",
        "platform": "linux",
        "packages": {},
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "git_commit": None,
        "git_dirty": None,
    },
    "started_at": "2026-01-01T00:00:00Z",
}

Outcomes = Mapping[str, list[bool]]


def record(model: str = "vit", seed: int = 0, **changes: Any) -> RunRecord:
    """A record; `suite`, `model_` and `protocol` take changed keys."""
    content = {**RECORD, "seed": seed}
    content["model"] = {**RECORD["model"], "name": model, **changes.pop("model_", {})}
    for part in ("suite", "protocol"):
        content[part] = {**RECORD[part], **changes.pop(part, {})}
    return RunRecord.model_validate(content | changes)


def outcomes(land: tuple[int, int], water: tuple[int, int]) -> dict[str, list[bool]]:
    """(right, all) per group, the right ones first."""
    pairs = zip(GROUPS, (land, water), strict=True)
    return {group: [index < right for index in range(n)] for group, (right, n) in pairs}


def predictions(variants: Mapping[str, Outcomes], split: str = "test") -> pd.DataFrame:
    rows = [
        (f"{group}-{index}", split, variant, group, 0, 0 if right else 1)
        for variant, groups in variants.items()
        for group, found in groups.items()
        for index, right in enumerate(found)
    ]
    return pd.DataFrame(rows, columns=["id", "split", "variant", "group", "y", "y_pred"])


def explanations(gains: Mapping[str, float], n: int = 12) -> pd.DataFrame:
    """SRG around the given value for each explainer, the same noise for each."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 2 * n)
    frames = []
    for name, gain in gains.items():
        ids = [f"{group}-{index}" for group in GROUPS for index in range(n)]
        frame = pd.DataFrame({"id": ids, "group": np.repeat(GROUPS, n), "explainer": name})
        srg = gain + noise
        frame = frame.assign(operator="mean", deletion_auc=0.4, insertion_auc=0.4 + srg, srg=srg)
        columns = ("relevance_mass", "mask_iou", "mask_precision", "mask_recall", "area")
        frames.append(frame.assign(**dict.fromkeys(columns, np.nan)))
    return pd.concat(frames, ignore_index=True)


def run(
    found: Outcomes,
    maps: pd.DataFrame | None = None,
    variants: Mapping[str, Outcomes] | None = None,
    **changes: Any,
) -> LoadedRun:
    """A scored run from the outcomes of each group's images."""
    base = record(**changes)
    maps = explanations({"random": 0.0}) if maps is None else maps
    tables = Tables(
        predictions({"original": found, **(variants or {})}, base.protocol.eval_split), maps
    )
    rows = score_tables(tables, replace(context_of(base), resamples=2000))
    scored = base.model_copy(update={"metrics": [Metric(**asdict(row)) for row in rows]})
    return LoadedRun(Path(f"{base.model.name}-{base.seed}"), scored, *vars(tables).values())


def store(root: Path, loaded: LoadedRun) -> Path:
    """Write the run below `root` and return its folder."""
    found = loaded.record
    folder = root / f"{found.suite.id}@1" / found.model.name / found.protocol.name
    folder = folder / f"seed{found.seed}"
    tables = {
        "predictions": write_table(folder / "predictions.csv.gz", loaded.predictions),
        "explanations": write_table(folder / "explanations.csv.gz", loaded.explanations),
    }
    write_record(folder, found.model_copy(update={"tables": tables}))
    return folder
