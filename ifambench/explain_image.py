"""Explain what a model predicts for one image file: maps, their curves, its own mask and parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ifambench.data.images import read_image
from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.explain.base import EXPLAINER_REGISTRY
from ifambench.explain.measure import ExplainSettings, explain_rows
from ifambench.image_model import class_index, named_model
from ifambench.models.base import Classifier
from ifambench.plan_explain import PER_PATCH, choose_explainers
from ifambench.predict.forward import (
    evaluating,
    load_batch,
    probabilities,
    refuse_non_finite,
)
from ifambench.predict.loop import classify
from ifambench.progress import Progress
from ifambench.reports.map_sheet import MapSheet
from ifambench.suites.spec import Groups, Suite

_TOP = 5
_COLUMNS = ("explainer", "deletion_auc", "insertion_auc", "srg", "gini", "area")


@dataclass(frozen=True)
class ImageRequest:
    """What to explain.

    Attributes:
        image: The file.
        model: Given weights (`ckpt:`, `hf-hub:`, `timm:`, a published name), or a run folder.
        explainers: Names, or `all`; empty for the model's defaults. The floor is always added.
        target: Name or index of the class to explain; None for the predicted one.
        steps: Steps of the curves, or `patch`.
        batch_size: Images per forward pass.
        device: Where to compute.
        offline: Whether weights that are not on this machine are an error.
    """

    image: Path
    model: str
    explainers: tuple[str, ...] = ()
    target: str | None = None
    steps: int | str = 16
    batch_size: int = 64
    device: torch.device | str = "cpu"
    offline: bool = False


@dataclass(frozen=True)
class ImageExplanation:
    """What was found.

    Attributes:
        model: The model's name.
        top: The most probable classes: index, name and probability, best first.
        target: Index of the explained class.
        name: Its name.
        probability: Its probability.
        table: One row per explainer: deletion and insertion AUC, SRG, Gini, kept share of masks.
        sheet: Image, maps and parts for display.
        left_out: Explainers that `all` does not include here, with the reason.
    """

    model: str
    top: tuple[tuple[int, str, float], ...]
    target: int
    name: str
    probability: float
    table: pd.DataFrame
    sheet: MapSheet
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _OnePicture:
    """Pixels of a manifest with one row."""

    pixels: NDArray[np.uint8]

    def images(self, rows: pd.DataFrame) -> NDArray[np.uint8]:
        return np.repeat(self.pixels[None], len(rows), axis=0)

    def masks(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        raise ValueError("a single image has no true mask")  # never asked for: `mask` is empty


def explain_image(asked: ImageRequest, progress: Progress | None = None) -> ImageExplanation:
    """Predict one image and measure explanations of the prediction on it.

    Raises:
        UsageError: If there is no such image, model, class or explainer, or they do not fit.
        EnvironmentProblem: If the image cannot be decoded, or weights are missing or damaged.
    """
    _check_image(asked.image)
    model, names = named_model(asked.model, asked.device, asked.offline)
    explainers, left_out = choose_explainers(asked.explainers, model, masks=False)
    pixels = _read(asked.image, model)
    data = _data(asked.image, pixels)
    with evaluating(model), torch.inference_mode():
        found = classify(model, load_batch(model, data, data.manifest, asked.device))
    refuse_non_finite(found.logits.cpu().numpy(), [asked.image.name], "the logits are")
    probability = probabilities(found.scores)[0]
    predicted = int(found.logits.argmax(dim=1))
    target = predicted if asked.target is None else class_index(asked.target, names)
    data.manifest["y"] = target
    given = data.manifest[["id", "variant"]].assign(
        y_pred=predicted, prob_pred=probability[predicted], prob_true=probability[target]
    )
    h, w = model.patch_grid
    settings = ExplainSettings(
        steps=h * w if asked.steps == PER_PATCH else int(asked.steps),
        batch_size=asked.batch_size,
        device=asked.device,
        target="label",
    )
    result = explain_rows(
        model, data, data.manifest, given, explainers, settings, None, progress or Progress()
    )
    maps = {name: values[0] for name, values in result.maps.items()}
    title = f"{asked.image.name}: {names[target]} ({probability[target]:.2f})"
    best = np.argsort(-probability, kind="stable")[:_TOP]
    return ImageExplanation(
        model=asked.model,
        top=tuple((int(k), names[int(k)], float(probability[k])) for k in best),
        target=target,
        name=names[target],
        probability=float(probability[target]),
        table=result.explanations[list(_COLUMNS)],
        sheet=_sheet(title, pixels, maps, result.explanations, _parts(model, data, asked.device)),
        left_out=left_out,
    )


def _check_image(path: Path) -> None:
    if not path.is_file():
        raise UsageError(
            "a folder is not an image" if path.is_dir() else "there is no such image",
            where=str(path),
            next_step="name one image file",
        )


def _read(path: Path, model: Classifier) -> NDArray[np.uint8]:
    try:
        return read_image(path, model.data_config.view())
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            error.what, where=str(path), next_step="name a file that Pillow can read"
        ) from error


def _data(path: Path, pixels: NDArray[np.uint8]) -> SuiteData:
    """A data set of one image without a label or a mask, in one group."""
    row = {"id": path.name, "path": str(path), "split": "image", "y": 0, "group": "image"}
    manifest = pd.DataFrame([row | {"mask": "", "variant": "original"}])
    suite = Suite.model_construct(groups=Groups.model_construct(by=[], names=["image"]))
    return SuiteData(suite, manifest, _OnePicture(pixels), digest="", size="available")


def _parts(
    model: Classifier, data: SuiteData, device: torch.device | str
) -> NDArray[np.int64] | None:
    """The part of each patch that a two-stage model with several parts selects; else None."""
    if "selection" not in model.capabilities:
        return None
    with evaluating(model), torch.inference_mode():
        found = model.select(load_batch(model, data, data.manifest, device).images)
    parts = found.part_maps.shape[1] - 1
    if parts < 2:
        return None
    index = found.part_maps[0, :parts].argmax(dim=0)
    shown = torch.where(found.mask[0].bool(), index, torch.full_like(index, -1))
    return np.asarray(shown.cpu().numpy(), dtype=np.int64)


def _sheet(
    title: str,
    pixels: NDArray[np.uint8],
    maps: dict[str, NDArray[np.float32]],
    table: pd.DataFrame,
    parts: NDArray[np.int64] | None,
) -> MapSheet:
    binary = [name for name in maps if EXPLAINER_REGISTRY.entry(name).info.get("binary")]
    srg = dict(zip(table["explainer"], table["srg"], strict=True))
    captions = {name: f"SRG {srg[name]:+.3f}" for name in maps}
    return MapSheet(title, pixels, maps, frozenset(binary), captions, parts)
