"""A small valid record and its tables for the tests of `ifambench.records`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ifambench.records.schema import RunRecord


def small_record(**changes: Any) -> RunRecord:
    content: dict[str, Any] = {
        "ifambench_version": "0.1.0",
        "status": "complete",
        "key": {"suite": "aa", "data": "bb"},
        "suite": {
            "id": "waterdigits",
            "version": "1.0.0",
            "digest": "aa",
            "data_digest": "bb",
            "size": "default",
        },
        "model": {
            "name": "vit-ti",
            "architecture": "vit_tiny",
            "method": "erm",
            "labels_needed": "none",
            "parameters": 10,
            "capabilities": [],
            "data_config": {"mean": [0.5, 0.5, 0.5]},
            "patch_grid": [8, 8],
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
        "recipe": {"lr": 0.001},
        "command": "ifambench run waterdigits --model vit-ti --seed 0",
        "groups": ["a", "b"],
        "train_shares": [0.5, 0.5],
        "minority": ["b"],
        "environment": {
            "python": "3.11",
            "platform": "Linux",
            "packages": {},
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "git_commit": None,
            "git_dirty": None,
        },
        "metrics": [{"metric": "accuracy", "value": 0.5, "n": 4}],
        "started_at": "2026-01-01T00:00:00Z",
    }
    return RunRecord.model_validate(content | changes)


def small_predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["007", "NA", "nan", "1e5"],
            "split": ["test"] * 4,
            "variant": ["original"] * 4,
            "group": ["1", "1", "NA", "none"],
            "y": [0, 0, 1, 1],
            "y_pred": [0, 1, 1, 0],
            "prob_true": [0.1, 1 / 3, float("nan"), 1e-300],
        }
    )
