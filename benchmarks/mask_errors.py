"""What limits a two-stage model: validation accuracy when its mask is corrected by the true one.

    python benchmarks/mask_errors.py RUN [RUN ...] --csv benchmarks/mask_errors.csv
    python benchmarks/mask_errors.py --table benchmarks/mask_errors.csv [FILE ...]

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
_SHARES = ("background_inside", "object_found")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        help="only print Markdown tables of all such files together",
    )
    asked = parser.parse_args()
    if asked.table:
        print(_tables([pd.read_csv(path) for path in asked.table]))
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
    shares = every.groupby("mask", sort=False)[list(_SHARES)].mean()
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


def _tables(parts: list[pd.DataFrame]) -> str:
    """Mean ± standard deviation over all trainings of the files, then the changes against `own`."""
    found = pd.concat([part.assign(file=k) for k, part in enumerate(parts)], ignore_index=True)
    found = found.drop(columns=["model", "n"]).set_index(["file", "seed", "mask"])
    accuracy = found.drop(columns=list(_SHARES))
    own = accuracy.xs("own", level="mask")
    change = accuracy.drop(index="own", level="mask") - own
    return "\n\n".join(
        [_table(found, "mask", "{:.3f}"), _table(change, "change against own", "{:+.3f}")]
    )


def _table(found: pd.DataFrame, head: str, style: str) -> str:
    by_mask = found.groupby("mask", sort=False)
    mean, std = by_mask.mean(), by_mask.std(ddof=1)
    heads = [name.replace("_", " ") for name in mean]
    lines = [f"| {head} | {' | '.join(heads)} |", "| :--- |" + " ---: |" * len(heads)]
    for mask in mean.index:
        values = zip(mean.loc[mask], std.loc[mask], strict=True)
        cells = [f"{style.format(value)} ± {spread:.3f}" for value, spread in values]
        lines.append(f"| {mask} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
