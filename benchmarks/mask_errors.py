"""What limits a two-stage model: validation accuracy when its mask is corrected by the true one.

    python benchmarks/mask_errors.py RUN [RUN ...] --csv benchmarks/mask_errors.csv
    python benchmarks/mask_errors.py --table benchmarks/mask_errors.csv

Stage 2 is given other patches than stage 1 chose, on the validation split, never the test split:

- own: what stage 1 chose;
- own, eroded once more: its outermost patches taken away again;
- own without border: those of its patches with more than 0.9 of their pixels on the object;
- own and object: its patches and all such patches;
- object: all such patches.

Stage 2 was trained on the masks of stage 1, so a change can also cost accuracy because it is new
to it. An image that would be left without a patch keeps its own mask. The runs need their weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ifambench.loaded import RunModel, load_run_model, split_data
from ifambench.metrics.localization import patch_coverage
from ifambench.models.masks import erode
from ifambench.predict.forward import load_batch

BATCH, INSIDE = 32, 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--table", type=Path, help="only print a Markdown table of such a file")
    asked = parser.parse_args()
    if asked.table:
        print(_table(pd.read_csv(asked.table)))
        return
    torch.set_num_threads(1)
    found = pd.concat([_measured(load_run_model(run)) for run in asked.runs], ignore_index=True)
    print(found.to_string(index=False))
    if asked.csv:
        found.to_csv(asked.csv, index=False, lineterminator="\n")


@torch.inference_mode()
def _measured(loaded: RunModel) -> pd.DataFrame:
    """One row per kind of mask: accuracy of each group, background in the mask, object found."""
    model, data = loaded.model, split_data(loaded, [loaded.record.protocol.select_split or "val"])
    rows, found = data.rows(loaded.record.protocol.select_split or "val"), []
    for start in range(0, len(rows), BATCH):
        part = rows.iloc[start : start + BATCH]
        images = load_batch(model, data, part, "cpu").images
        coverage = patch_coverage(data.pixels.masks(part), model.patch_grid)
        true = torch.from_numpy(np.asarray(coverage)).float()
        own = model.selection(images)
        for name, mask in _masks(own, true > INSIDE).items():
            given = torch.where(mask.flatten(1).any(1)[:, None, None], mask, own)
            right = model.logits_from_patches(images, given).argmax(1).numpy() == part["y"]
            shares = _shares(given, true)
            found.append(part[["group"]].assign(mask=name, right=right, **shares))
    every = pd.concat(found)
    groups = every.pivot_table(index="mask", columns="group", values="right", sort=False)
    shares = every.groupby("mask", sort=False)[["background_inside", "object_found"]].mean()
    table = groups.assign(worst_group=groups.min(axis=1)).join(shares).reset_index()
    return table.assign(model=loaded.record.model.name, seed=loaded.record.seed, n=len(rows))


def _masks(own: Tensor, inside: Tensor) -> dict[str, Tensor]:
    return {
        "own": own,
        "own, eroded once more": erode(own, 1),
        "own without border": own & inside,
        "own and object": own | inside,
        "object": inside,
    }


def _shares(mask: Tensor, true: Tensor) -> dict[str, np.ndarray]:
    """Per image: background among the pixels of the mask; the object's pixels that it holds."""
    kept = (true * mask).sum(dim=(1, 2))
    return {
        "background_inside": (1 - kept / mask.sum(dim=(1, 2))).numpy(),
        "object_found": (kept / true.sum(dim=(1, 2)).clamp(min=1)).numpy(),
    }


def _table(found: pd.DataFrame) -> str:
    """Mean over the seeds, ± standard deviation."""
    names = [name for name in found if name not in ("mask", "model", "seed", "n")]
    by_mask = found.groupby("mask", sort=False)[names]
    mean, std = by_mask.mean(), by_mask.std(ddof=1)
    heads = [name.replace("_", " ") for name in names]
    lines = [f"| mask | {' | '.join(heads)} |", "| :--- |" + " ---: |" * len(names)]
    for mask in mean.index:
        cells = [f"{mean.loc[mask, name]:.3f} ± {std.loc[mask, name]:.3f}" for name in names]
        lines.append(f"| {mask} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
