"""What the two stages cost, as ratios to the plain network's forward pass in the same process.

    python benchmarks/two_stage_speed.py --size s --image-size 224 --batch 8
    python benchmarks/two_stage_speed.py --size b --image-size 518 --batch 16 --device cuda \
        --precision bf16 --csv benchmarks/two_stage_speed.csv
    python benchmarks/two_stage_speed.py --table benchmarks/two_stage_speed.csv

Evaluation: stage 1 on all patches, stage 2 on a fraction f of them (the same random patches for
every repeat). The bound is (1 + f) plain forward passes, within 10 %. Training: one step of the
published losses, forward, backward and optimizer, and its shares by leaving parts out, with tokens
and positions of stage 1 trained (as published, through its whole trunk) and without. Weights are
random; the time of stage 2 depends on them through the share of patches that the mask keeps, which
is shown. Measurements alternate, the median of the repeats is shown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ifambench.models.ifam import build_ifam
from ifambench.models.pdiscoformer import build_pdiscoformer
from ifambench.models.timm_vit import build_vit
from ifambench.train.methods import make_step
from ifambench.train.recipes import Recipe
from ifambench.train.steps import Batch

CLASSES, PARTS = 2, 4
NOTES = {"": False, ", tokens trained": True}
"""Whether tokens and positions of stage 1 are trained."""
DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="s", choices=["micro", "ti", "s", "b", "l"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", default="32", choices=list(DTYPES))
    parser.add_argument("--csv", type=Path, help="append the measurements to this file")
    parser.add_argument("--table", type=Path, help="only print a Markdown table of such a file")
    parser.add_argument("--kept", type=float, nargs="+", default=[0.1, 0.25, 0.5, 1.0])
    asked = parser.parse_args()
    if asked.table:
        print(_table(pd.read_csv(asked.table)))
        return
    if asked.threads:
        torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    print(
        f"vit-{asked.size} at {asked.image_size}, batch {asked.batch}, {asked.device}, "
        f"precision {asked.precision}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    rows = pd.DataFrame(_evaluation(asked) + _training(asked))
    rows = rows.assign(
        model=f"vit-{asked.size}",
        image_size=asked.image_size,
        batch=asked.batch,
        device=torch.cuda.get_device_name() if asked.device.startswith("cuda") else "cpu",
        precision=asked.precision,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
    if asked.csv:
        rows.to_csv(asked.csv, mode="a", header=not asked.csv.exists(), index=False)


def _evaluation(asked: argparse.Namespace) -> list[dict[str, Any]]:
    shape = {"num_classes": CLASSES, "image_size": asked.image_size, "size": asked.size}
    plain = build_vit(**shape).to(asked.device).eval()
    model = build_ifam(**shape, num_parts=PARTS).to(asked.device).eval()
    images = torch.randn(asked.batch, 3, asked.image_size, asked.image_size, device=asked.device)
    work: dict[str, Callable[[], Any]] = {"plain": lambda: plain.logits(images)}
    work["stage 1"] = lambda: model.select(images)
    masks = {f: _random_mask(asked.batch, model.patch_grid, f, asked.device) for f in asked.kept}
    for fraction, mask in masks.items():
        work[f"both, f={fraction:g}"] = lambda mask=mask: (
            model.select(images),
            model.logits_from_patches(images, mask),
        )
    with torch.inference_mode(), _autocast(asked):
        seconds = _medians(work, asked)
    rows = _rows("evaluation", seconds, asked.batch, "plain")
    for row, fraction in zip(rows[2:], asked.kept, strict=True):
        row["of_bound"] = row["ratio"] / (1 + fraction)
    _show(rows)
    return rows


def _training(asked: argparse.Namespace) -> list[dict[str, Any]]:
    recipe = Recipe(batch_size=asked.batch, num_parts=PARTS)
    shape = {"num_classes": CLASSES, "image_size": asked.image_size, "size": asked.size}
    images = torch.randn(asked.batch, 3, asked.image_size, asked.image_size, device=asked.device)
    y = torch.arange(asked.batch, device=asked.device) % CLASSES
    batch = Batch(images, y, y, None)
    plain = build_vit(**shape).to(asked.device).train()
    work = {"plain ERM step": _step("erm", plain, recipe, batch, asked)}
    kept: dict[str, list[float]] = {}
    for note, tokens in NOTES.items():
        trained = replace(recipe, train_stage_1_tokens=tokens)
        alone = replace(trained, losses=recipe.losses | {"equivariance": 0.0})
        whole = build_ifam(**shape, num_parts=PARTS).to(asked.device).train()
        first = build_pdiscoformer(**shape, num_parts=PARTS).to(asked.device).train()
        kept[f"whole step{note}"] = _watch_kept(whole)
        work[f"whole step{note}"] = _step("ifam", whole, trained, batch, asked)
        work[f"without equivariance{note}"] = _step("ifam", whole, alone, batch, asked)
        work[f"stage 1 alone{note}"] = _step("parts", first, alone, batch, asked)
    seconds = _medians(work, asked)
    rows = _rows("training", seconds, asked.batch, "plain ERM step")
    for row in rows:
        if row["piece"] in kept:
            row["kept"] = statistics.mean(kept[row["piece"]])
    rows += [row for note in NOTES for row in _shares(seconds, note)]
    _show(rows)
    return rows


def _shares(seconds: dict[str, float], note: str) -> list[dict[str, Any]]:
    """What each part takes of a whole step."""
    total, stage_1 = seconds[f"whole step{note}"], seconds[f"stage 1 alone{note}"]
    equivariance = total - seconds[f"without equivariance{note}"]
    shares = {"stage 1": stage_1, "equivariance": equivariance}
    shares["stage 2"] = total - stage_1 - equivariance
    return [
        {"phase": "training", "piece": f"share of {name}{note}", "ratio": part / total}
        for name, part in shares.items()
    ]


def _watch_kept(model: Any) -> list[float]:
    """A list that every training step of the model appends its kept share of patches to."""
    found: list[float] = []
    original = model.masked_logits

    def watched(images: Tensor, mask: Tensor) -> Tensor:
        found.append(mask.float().mean().item())
        return original(images, mask)

    model.masked_logits = watched
    return found


def _step(
    method: str, model: Any, recipe: Recipe, batch: Batch, asked: argparse.Namespace
) -> Callable[[], None]:
    """Forward, backward and optimizer."""
    step = make_step(method, model, recipe, num_groups=4)
    groups = [{"params": group["params"]} for group in step.parameter_groups(asked.batch)]
    optimizer = torch.optim.AdamW(groups, lr=1e-6, foreach=True)

    def run() -> None:
        optimizer.zero_grad()
        with _autocast(asked):
            loss = step(batch)["total"]
        loss.backward()
        optimizer.step()

    return run


def _random_mask(batch: int, grid: tuple[int, int], fraction: float, device: str) -> Tensor:
    """(B, h, w) bool with the same number of kept patches in every image."""
    patches = grid[0] * grid[1]
    order = torch.rand(batch, patches).argsort(dim=1).argsort(dim=1)
    return (order < round(fraction * patches)).view(batch, *grid).to(device)


def _autocast(asked: argparse.Namespace) -> AbstractContextManager[Any]:
    if asked.precision == "32":
        return nullcontext()
    return torch.autocast(asked.device.partition(":")[0], DTYPES[asked.precision])


def _medians(work: dict[str, Callable[[], Any]], asked: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each piece; the pieces take turns, so that drift hits all alike."""
    # on the CPU the time that the threads really had: other processes do not count
    on_cpu = asked.device == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    processors = torch.get_num_threads() if on_cpu else 1
    taken: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(asked.repeats + 1):  # the first round warms up
        for name, piece in work.items():
            _wait(asked.device)
            started = clock()
            piece()
            _wait(asked.device)
            if repeat:
                taken[name].append((clock() - started) / processors)
    return {name: statistics.median(values) for name, values in taken.items()}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _rows(
    phase: str, seconds: dict[str, float], batch: int, reference: str
) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "piece": name,
            "images_per_second": batch / value,
            "ratio": value / seconds[reference],
        }
        for name, value in seconds.items()
    ]


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        rate = f"{row['images_per_second']:9.1f} images/s" if "images_per_second" in row else ""
        bound = f"   {row['of_bound']:.2f} of (1 + f)" if "of_bound" in row else ""
        bound += f"   {row['kept']:.2f} of the patches kept" if "kept" in row else ""
        print(f"  {row['phase']:10s} {row['piece']:36s} x {row['ratio']:.2f} {rate}{bound}")


def _table(rows: pd.DataFrame) -> str:
    """One line per piece, times as ratios to the plain network in the same process."""
    where = ["model", "image_size", "batch", "device", "precision", "threads"]
    head = [*where, "phase", "piece", "time / plain", "of (1 + f)", "kept"]
    lines = [f"| {' | '.join(head)} |", "| :--- " * 8 + "| ---: " * 3 + "|"]
    for _, row in rows.iterrows():
        more = ["" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("of_bound", "kept")]
        cells = [str(row[name]) for name in [*where, "phase", "piece"]]
        lines.append(f"| {' | '.join([*cells, format(row['ratio'], '.2f'), *more])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
