"""Does the procedure work for nearly every seed? Pretraining seeds x training seeds, in one table.

    python benchmarks/pretraining_seeds.py pretrain --seed 1 --output runs/backbones/1
    python benchmarks/pretraining_seeds.py measure runs/backbones/*.safetensors --csv FILE \
        --seeds 5 --first-seed 10 --model ifam-vit-micro --model vit-micro --model oracle-vit-micro
    python benchmarks/pretraining_seeds.py table FILE

`pretrain` takes `--target pixels`, `--positions` and `measure` takes `--set prototype_init=random`,
`--set rim=1`: the ablations of docs/pretraining.md. Rows are appended, so work can be split over
processes and repeated calls skip what is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ifambench.data.load import load_data
from ifambench.data.manifest import SuiteData
from ifambench.metrics.localization import mask_scores, patch_coverage
from ifambench.models.backbones import find_backbone
from ifambench.models.catalog import choose_model
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite
from ifambench.train.fit import FitPlan, Fitted, fit
from ifambench.train.pretrain import PretrainRecipe, PretrainRequest, pretrain
from ifambench.train.recipes import Recipe, recipe_for

KEY = ["suite", "backbone", "model", "changes", "seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("pretrain")
    one.add_argument("--seed", type=int, required=True)
    one.add_argument("--output", type=Path, required=True)
    one.add_argument("--target", default="gradients")
    one.add_argument("--positions", action="store_true")
    one.set_defaults(do=_pretrain)
    two = commands.add_parser("measure")
    two.add_argument("backbones", nargs="+", type=Path)
    two.add_argument("--suite", default="waterdigits")
    two.add_argument("--model", action="append", required=True)
    two.add_argument("--seeds", type=int, default=5)
    two.add_argument("--first-seed", type=int, default=0)
    two.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    two.add_argument("--csv", type=Path, required=True)
    two.set_defaults(do=_measure)
    three = commands.add_parser("table")
    three.add_argument("csv", nargs="+", type=Path)
    three.add_argument("--no-total", action="store_true", help="no row over all backbones")
    three.set_defaults(do=_table)
    asked = parser.parse_args()
    asked.do(asked)


def _pretrain(asked: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    recipe = PretrainRecipe(target=asked.target, positions=asked.positions)
    pretrain(PretrainRequest("waterdigits", asked.output, asked.seed), Progress(), recipe)


def _measure(asked: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    data = load_data(load_suite(asked.suite).suite)
    for path in asked.backbones:
        for model in asked.model:
            for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
                key = [asked.suite, path.stem, model, " ".join(asked.set), seed]
                if not _known(asked.csv, key):
                    row = dict(zip(KEY, key, strict=True)) | _one(
                        data, path, model, seed, asked.set
                    )
                    _append(asked.csv, row)


def _one(data: SuiteData, path: Path, model: str, seed: int, changes: list[str]) -> dict[str, Any]:
    """Train one model and measure it on the test split."""
    choice = choose_model(model)
    recipe = _changed(recipe_for(data.suite, choice.family), changes)
    protocol = data.suite.protocol["standard"]
    plan = FitPlan(choice, recipe, protocol, find_backbone(str(path)), seed, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(plan, data, Path(folder), torch.device("cpu"), Progress())
    rows = data.rows("test")
    table = predict(fitted.model, data, rows, batch_size=64, device="cpu")
    right = (table["y"] == table["y_pred"]).groupby(table["group"]).mean()
    found = {"worst_group_accuracy": right.min(), "group_mean_accuracy": right.mean()}
    found |= {"val_accuracy": fitted.table["val_accuracy"].iloc[-1]}
    return found | _masks(fitted, data, rows)


@torch.inference_mode()
def _masks(fitted: Fitted, data: SuiteData, rows: pd.DataFrame) -> dict[str, float]:
    model = fitted.model
    if "selection" not in model.capabilities:
        return {"mask_iou": float("nan")}
    images = model.data_config.normalise(data.pixels.images(rows))
    selected = model.select(images).mask.numpy()
    scores = mask_scores(selected, patch_coverage(data.pixels.masks(rows), model.patch_grid))
    names = ("mask_iou", "mask_precision", "mask_recall")
    return {name: float(pd.Series(v).mean()) for name, v in zip(names, scores, strict=True)}


def _changed(recipe: Recipe, changes: list[str]) -> Recipe:
    """The recipe with `key=value` changes; a loss name changes its weight."""
    for change in changes:
        key, _, value = change.partition("=")
        if key in recipe.losses:
            recipe = replace(recipe, losses=recipe.losses | {key: float(value)})
        else:
            old = getattr(recipe, key)
            recipe = replace(recipe, **{key: type(old)(value)})
    return recipe


def _known(path: Path, key: list[Any]) -> bool:
    if not path.is_file():
        return False
    stored = _read([path])
    return bool((stored[KEY].astype(str) == [str(part) for part in key]).all(axis=1).any())


def _read(paths: list[Path]) -> pd.DataFrame:
    every = pd.concat([pd.read_csv(path, dtype={"backbone": str}) for path in paths])
    every["changes"] = ["" if pd.isna(text) else str(text) for text in every["changes"]]
    return every


def _append(path: Path, row: dict[str, Any]) -> None:
    columns = [*KEY, "worst_group_accuracy", "group_mean_accuracy", "val_accuracy"]
    columns += ["mask_iou", "mask_precision", "mask_recall"]
    frame = pd.DataFrame([row]).reindex(columns=columns).round(6)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, mode="a", header=not path.is_file(), index=False)
    print(frame.to_string(header=False, index=False), file=sys.stderr, flush=True)


def _table(asked: argparse.Namespace) -> None:
    """Mean, standard deviation, minimum and n per model and backbone, as Markdown."""
    every = _read(asked.csv)
    print("| model | changes | backbone | n | worst group | std | min | mask IoU | min |")
    print("| :--- | :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: |")
    kinds = [["model", "changes", "backbone"], ["model", "changes"]]
    for by in kinds[:1] if asked.no_total else kinds:
        for name, rows in every.groupby(by, sort=False):
            cells = [*map(str, name), *(["all"] if len(by) == 2 else []), str(len(rows))]
            worst, iou = rows["worst_group_accuracy"], rows["mask_iou"]
            numbers = [worst.mean(), worst.std(ddof=1), worst.min(), iou.mean(), iou.min()]
            cells += ["" if pd.isna(x) else f"{x:.3f}" for x in numbers]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
