"""A full run folder with made-up data, in every file of the contract.

`python -m tests.reports.synthetic FOLDER` writes one, with its reports, to look at; with `many`
behind it one with many explainers.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ifambench.metrics.base import ScoreContext, Tables
from ifambench.metrics.score import score_tables
from ifambench.records.schema import RunRecord
from ifambench.records.store import digest, write_record, write_table

LABELS = ("zero", "one")
PLACES = ("land", "water")
GROUPS = ("zero on land", "zero on water", "one on land", "one on water")
TRAIN_SHARES = (0.475, 0.025, 0.025, 0.475)
MINORITY = ("zero on water", "one on land")
VARIANTS = ("original", "mixed_same", "mixed_rand", "only_fg", "only_bg", "no_fg")
EXPLAINERS = ("random", "grad-cam", "attention-rollout", "integrated-gradients", "ifam-mask")

_RIGHT = {"original": 0.0, "mixed_same": -0.01, "mixed_rand": -0.06}
_RIGHT |= {"only_fg": -0.03, "only_bg": -0.38, "no_fg": -0.33}
_GROUP_RIGHT = (0.985, 0.93, 0.88, 0.97)
_SRG = {"random": 0.02, "grad-cam": 0.16, "attention-rollout": 0.11}
_SRG |= {"integrated-gradients": -0.03, "ifam-mask": 0.34}


def predictions(seed: int = 0, per_group: int = 320) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frames = []
    for variant in VARIANTS:
        group = np.repeat(np.arange(4), per_group)
        right = draw.random(group.size) < np.array(_GROUP_RIGHT)[group] + _RIGHT[variant]
        y = group // 2
        probability = np.where(right, 0.5 + draw.random(y.size) / 2, draw.random(y.size) / 2)
        frames.append(
            pd.DataFrame(
                {
                    "id": [f"test-{index:04d}" for index in range(y.size)],
                    "split": "test",
                    "variant": variant,
                    "group": np.array(GROUPS)[group],
                    "y": y,
                    "a_place": np.array(PLACES)[group % 2],
                    "y_pred": np.where(right, y, 1 - y),
                    "prob_true": probability,
                    "prob_pred": np.maximum(probability, 1 - probability),
                    "margin": 2 * probability - 1,
                    "n_selected": draw.integers(4, 30, y.size),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


MANY = (
    *EXPLAINERS,
    *("center", "uniform", "oracle-foreground", "raw-attention", "generic-attention", "legrad"),
    *("gradient-x-attention", "transformer-attribution", "input-x-gradient", "saliency"),
    *("smoothgrad", "occlusion", "rise", "kernelshap", "normgrad", "ifam-soft"),
    *("random@drop", "grad-cam@drop", "ifam-mask@drop"),
)
"""Labels of a run of many explainers under two operators."""


def strength(explainer: str) -> float:
    """The SRG that an explainer is made to have."""
    name = explainer.partition("@")[0]
    return _SRG.get(name, 0.2 * math.sin(len(name)))


def explanations(
    seed: int = 1, per_group: int = 16, explainers: tuple[str, ...] = EXPLAINERS
) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    n = 4 * per_group
    frames = []
    for explainer in explainers:
        deletion = np.clip(0.55 - strength(explainer) / 2 + draw.normal(0, 0.05, n), 0, 1)
        insertion = np.clip(0.55 + strength(explainer) / 2 + draw.normal(0, 0.05, n), 0, 1)
        is_mask = explainer.startswith("ifam-mask")
        frame = pd.DataFrame(
            {
                "id": [f"test-{index:04d}" for index in range(n)],
                "group": np.repeat(GROUPS, per_group),
                "y": np.repeat([0, 0, 1, 1], per_group),
                "y_pred": np.repeat([0, 0, 1, 1], per_group) ^ (np.arange(n) % 7 == 3),
                "explainer": explainer,
                "operator": explainer.partition("@")[2] or "mean",
                "deletion_auc": deletion,
                "insertion_auc": insertion,
                "srg": insertion - deletion,
                "area": draw.random(n) if is_mask else np.nan,
                "mask_precision": draw.random(n) if is_mask else np.nan,
                "mask_recall": draw.random(n) if is_mask else np.nan,
                "relevance_mass": np.nan if explainer == "random" else draw.random(n),
                "mask_iou": draw.random(n) if is_mask else np.nan,
            }
        )
        frames.append(frame.assign(**_measures(frame, np.random.default_rng(seed), is_mask)))
    return pd.concat(frames, ignore_index=True)


def _measures(frame: pd.DataFrame, draw: np.random.Generator, is_mask: bool) -> dict[str, Any]:
    """The columns that tables of earlier versions lack."""
    n, mask = len(frame), 1.0 if is_mask else np.nan
    return {
        "deletion_auc_logit": 6 * frame["deletion_auc"] - 1,
        "insertion_auc_logit": 6 * frame["insertion_auc"] - 1,
        "srg_logit": 6 * frame["srg"],
        "comprehensiveness": 0.6 - frame["deletion_auc"] / 2,
        "sufficiency": 0.8 - frame["insertion_auc"],
        "comp_mask": mask * draw.random(n),
        "suff_mask": mask * draw.random(n) / 4,
        "pointing": (draw.random(n) < 0.6).astype(float),
        "rank_accuracy": draw.random(n),
        "auroc": 0.5 + draw.random(n) / 2,
        "gini": draw.random(n),
        "entropy": 2 + draw.random(n),
    }


def curves(explainers: tuple[str, ...] = EXPLAINERS) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for explainer in explainers:
        for group in ("all", *GROUPS):
            for step in range(11):
                x = step / 10
                bend = math.exp(2.5 * strength(explainer))
                deletion = 0.15 + 0.8 * (1 - x) ** (bend * 1.2)
                insertion = 0.15 + 0.8 * (1 - (1 - x) ** (bend * 1.2))
                rows.append(
                    {
                        "explainer": explainer,
                        "group": group,
                        "fraction": x,
                        "deletion": deletion,
                        "insertion": insertion,
                        "n": 64 if group == "all" else 16,
                        "deletion_se": 0.06 * x * (1 - x),
                        "insertion_se": 0.06 * x * (1 - x),
                    }
                )
    return pd.DataFrame(rows)


def training(epochs: int = 20) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    fall = np.exp(-epoch / 5)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "loss_total": 0.9 * fall + 0.05,
            "loss_classification": 0.6 * fall + 0.03,
            "loss_mask": 0.3 * fall + 0.02,
            "train_accuracy": 1 - 0.4 * fall,
            "val_accuracy": 0.96 - 0.4 * fall,
            "val_worst_group_accuracy": 0.88 - 0.7 * fall,
            "lr": 1e-3 * fall,
            "seconds": 2.0,
        }
    )


def gallery(
    side: int = 64,
    grid: int = 8,
    per_group: int = 2,
    seed: int = 2,
    explainers: tuple[str, ...] = EXPLAINERS,
) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    n = 4 * per_group
    rows, columns = np.mgrid[:side, :side] / side
    centres = 0.3 + 0.4 * draw.random((n, 2))
    radius = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])
    masks = radius < 0.22
    place = np.tile(np.repeat([0, 1], per_group), 2)
    colours = np.array([[96, 128, 62], [58, 110, 165]])

    def scene(which: np.ndarray) -> np.ndarray:
        waves = 20 * np.sin(40 * rows + 9 * columns)[None, :, :, None]
        noise = draw.normal(0, 12, (n, side, side, 1))
        back = colours[which][:, None, None, :] + waves + noise
        front = 225 - 60 * (radius < 0.1)[..., None] + np.zeros(3)
        return np.clip(np.where(masks[..., None], front, back), 0, 255).astype(np.uint8)

    cell = side // grid
    share = masks.reshape(n, grid, cell, grid, cell).mean((2, 4))
    found: dict[str, Any] = {
        "ids": np.array([f"test-{index:04d}" for index in range(n)]),
        "group": np.repeat(GROUPS, per_group),
        "y": np.repeat([0, 0, 1, 1], per_group),
        "y_pred": np.repeat([0, 0, 1, 1], per_group) ^ (np.arange(n) % 5 == 3),
        "prob_pred": 0.5 + draw.random(n) / 2,
        "images": scene(place),
        "masks": masks,
        "map:ifam-mask": (share > 0.2).astype(np.float32),
    }
    others = (name for name in explainers if name not in ("random", "ifam-mask"))
    for name in (name for name in others if "@" not in name):
        noise = draw.normal(0, 0.25, share.shape)
        found[f"map:{name}"] = (share + noise).astype(np.float32)
    if explainers != EXPLAINERS:
        found["in_group"] = np.arange(n) % per_group < per_group - 1
        cases = ("highest, right", "lowest, right", "highest, wrong", "lowest, wrong")
        found["case"] = np.array([cases[k // 2 % 4] if k % 2 else "" for k in range(n)])
        found |= {"headline": np.array("ifam-mask"), "srg": draw.normal(0.3, 0.2, n)}
    for variant in ("mixed_same", "mixed_rand", "only_bg"):
        swapped = scene(1 - place if variant == "mixed_rand" else place)
        if variant == "only_bg":
            swapped[masks] = swapped[:, :1, :1].mean((1, 2, 3), keepdims=True).astype(np.uint8)[0]
        found[f"swap:{variant}"] = swapped
        found[f"swap_pred:{variant}"] = found["y"] ^ (np.arange(n) % 4 == 1)
    return found


def metrics(explainers: tuple[str, ...] = EXPLAINERS) -> list[dict[str, Any]]:
    """The metric rows that these tables really give, with few resamples."""
    context = ScoreContext(GROUPS, TRAIN_SHARES, MINORITY, labels=LABELS, resamples=200)
    scored = score_tables(Tables(predictions(), explanations(explainers=explainers)), context)
    return [asdict(row) for row in scored]


def record(tables: dict[str, Any] | None = None, **changes: Any) -> RunRecord:
    content: dict[str, Any] = {
        "ifambench_version": "0.1.0",
        "status": "complete",
        "key": {"suite": digest("suite")},
        "suite": {
            "id": "waterdigits",
            "version": "1.0.0",
            "digest": digest("suite"),
            "data_digest": digest("data"),
            "size": "default",
        },
        "model": {
            "name": "ifam-vit-ti",
            "architecture": "ifam_vit_tiny_patch8_64",
            "method": "ifam",
            "labels_needed": "none",
            "parameters": 5_412_098,
            "capabilities": ["attention_maps", "selection", "tokens"],
            "data_config": {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3},
            "patch_grid": [8, 8],
            "weights": {"sha256": digest("weights"), "source": "trained here"},
        },
        "protocol": {
            "name": "standard",
            "train_split": "train",
            "select_split": "val",
            "eval_split": "test",
            "selection": "val_wga",
            "primary_metric": "worst_group_accuracy",
            "variants": list(VARIANTS),
            "explain": {
                "protocol": "patch-curve/1",
                **{"images": 64, "steps": 10, "operator": "mean", "target": "predicted"},
                **{"random_draws": 5, "seed": 0},
            },
        },
        "seed": 0,
        "recipe": {"epochs": 20, "lr": 0.001, "batch_size": 128, "loss": {"tv": 0.1, "size": 1}},
        "command": "ifambench run waterdigits --model ifam-vit-ti --seed 0",
        "labels": list(LABELS),
        "groups": list(GROUPS),
        "train_shares": list(TRAIN_SHARES),
        "minority": list(MINORITY),
        "environment": {
            "python": "3.11.9",
            "platform": "Linux-6.1-x86_64",
            "packages": {"numpy": "2.4.6", "torch": "2.13.0", "timm": "1.0.31"},
            "device": "cpu",
            "dtype": "float32",
            "threads": 2,
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
            "git_dirty": True,
        },
        "phases": [
            {"name": "train", "seconds": 812.4, "images": 51200, "images_per_second": 63.02},
            {"name": "predict", "seconds": 31.0, "images": 7680, "images_per_second": 247.7},
            {"name": "explain", "seconds": 96.2, "images": 3712, "images_per_second": 38.6},
            {"name": "score", "seconds": 0.42, "images": 0, "images_per_second": None},
        ],
        "peak_memory_bytes": 1_310_000_000,
        "explaining": {
            "protocol": {"operators": ["mean"], "precision": "32", "images": 64},
            "explainers": {
                "random": {"forwards": 5760, "seconds": 80.1, "map_seconds": 0.1},
                "grad-cam": {"forwards": 1152, "seconds": 16.1, "map_seconds": 2.4},
            },
            "left_out": {"deeplift": "needs a convolutional model"},
        },
        "tables": tables or {},
        "metrics": metrics(),
        "warnings": ["only one training seed: differences between seeds are not known"],
        "started_at": "2026-01-01T10:00:00Z",
        "finished_at": "2026-01-01T10:15:40Z",
    }
    return RunRecord.model_validate(content | changes)


def write_run(folder: Path, explainers: tuple[str, ...] = EXPLAINERS, **changes: Any) -> Path:
    """Every file of a complete run but its reports."""
    tables = {
        "predictions": write_table(folder / "predictions.csv.gz", predictions()),
        "explanations": write_table(
            folder / "explanations.csv.gz", explanations(explainers=explainers)
        ),
        "curves": write_table(folder / "curves.csv", curves(explainers)),
        "training": write_table(folder / "training.csv", training()),
    }
    np.savez_compressed(folder / "gallery.npz", **gallery(explainers=explainers))
    write_record(folder, record(tables, **changes))
    return folder


if __name__ == "__main__":
    from ifambench.reports.write import write_reports

    names = MANY if "many" in sys.argv[2:] else EXPLAINERS
    for written in write_reports(write_run(Path(sys.argv[1]), names, metrics=metrics(names))):
        sys.stdout.write(f"{written}\n")
