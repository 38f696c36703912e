"""How much of a two-stage model's prediction hangs on noise in its mask.

The published code adds Gumbel noise to the part scores in evaluation too, so its numbers change
from run to run. Here evaluation is deterministic, and the effect of the noise is measured: N noisy
masks per image, one prediction from each.

The noise belongs to image, sample and seed; it does not depend on batch, order or device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.data.manifest import SuiteData
from ifambench.errors import UsageError
from ifambench.explain.base import stable_hash
from ifambench.metrics.group_accuracy import group_counts, groups_with_images
from ifambench.models.base import Classifier, Selection
from ifambench.models.ifam import Ifam
from ifambench.predict.forward import evaluating, load_batch, probabilities, refuse_non_finite
from ifambench.progress import Progress


@dataclass(frozen=True)
class MaskSamples:
    """Predictions of N images without noise and under S noisy masks.

    Attributes:
        rows: The manifest rows, N.
        clean: (N,) predicted class without noise.
        sampled: (N, S) predicted class under each noisy mask.
        averaged: (N,) class of the largest probability, averaged over the noisy masks.
        patch_flips: (N, S) share of the patches that the noise adds or takes away.
        selected: (N, S + 1) selected patches; without noise first.
    """

    rows: pd.DataFrame
    clean: NDArray[np.int64]
    sampled: NDArray[np.int64]
    averaged: NDArray[np.int64]
    patch_flips: NDArray[np.float64]
    selected: NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """A number over the samples; the standard deviation (ddof 1) needs two of them."""

    mean: float
    std: float | None
    low: float
    high: float


@dataclass(frozen=True)
class NoiseReport:
    """What the noise does to one split.

    Attributes:
        images: N.
        samples: S.
        clean: Accuracy and worst-group accuracy without noise.
        averaged: Likewise, of the prediction from the averaged probabilities.
        accuracy: Over the samples.
        worst_group_accuracy: Over the samples; each with its own worst group.
        flip_rate: Share of all noisy predictions that differ from the noise-free one.
        any_flip_rate: Share of the images for which at least one does.
        patch_flip_rate: Share of the patches that a noisy mask adds or takes away.
        empty_rate: Share of the images without a selected patch, noise-free.
        noisy_empty_rate: Likewise, over all noisy masks.
    """

    images: int
    samples: int
    clean: tuple[float, float]
    averaged: tuple[float, float]
    accuracy: Spread
    worst_group_accuracy: Spread
    flip_rate: float
    any_flip_rate: float
    patch_flip_rate: float
    empty_rate: float
    noisy_empty_rate: float


def sample_masks(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    *,
    samples: int,
    seed: int,
    batch_size: int,
    device: torch.device | str,
    progress: Progress | None = None,
) -> MaskSamples:
    """Predict the manifest rows without noise and under noisy masks.

    Args:
        model: On `device` already; left in the mode it was in.
        data: Where the pixels are.
        rows: Manifest rows of one variant.
        samples: S, at least 1.
        seed: Seed of the noise.
        batch_size: Images per forward pass; it changes no result.
        device: Where to compute.
        progress: Told about each batch.

    Raises:
        UsageError: If the model has no noise in its mask.
        EnvironmentProblem: If a logit is not finite; the message names the image.
    """
    inner = model.unmapped
    if not isinstance(inner, Ifam):
        raise UsageError(
            "only a two-stage model has noise in its mask", next_step="ifambench list models"
        )
    progress = progress or Progress()
    progress.start("masks", len(rows))
    found: list[_Batch] = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            part = rows.iloc[start : start + batch_size]
            images = load_batch(model, data, part, device).images
            found.append(_sample_batch(model, inner, images, list(part["id"]), samples, seed))
            progress.advance(len(part))
    prob = np.concatenate([batch.prob for batch in found])  # (N, S + 1, C)
    predicted = prob.argmax(axis=2)
    masks = np.concatenate([batch.masks for batch in found])  # (N, S + 1, n)
    return MaskSamples(
        rows=rows.reset_index(drop=True),
        clean=predicted[:, 0],
        sampled=predicted[:, 1:],
        averaged=prob[:, 1:].mean(axis=1).argmax(axis=1),
        patch_flips=(masks[:, 1:] != masks[:, :1]).mean(axis=2),
        selected=masks.sum(axis=2),
    )


def noise_report(found: MaskSamples, groups: Sequence[str]) -> NoiseReport:
    """The numbers of a split; worst-group accuracy is over the groups that have images."""
    groups = groups_with_images(found.rows, groups)
    each = [_accuracies(found.rows, column, groups) for column in found.sampled.T]
    flips = found.sampled != found.clean[:, None]
    empty = found.selected == 0
    return NoiseReport(
        images=len(found.rows),
        samples=found.sampled.shape[1],
        clean=_accuracies(found.rows, found.clean, groups),
        averaged=_accuracies(found.rows, found.averaged, groups),
        accuracy=_spread([accuracy for accuracy, _ in each]),
        worst_group_accuracy=_spread([worst for _, worst in each]),
        flip_rate=float(flips.mean()),
        any_flip_rate=float(flips.any(axis=1).mean()),
        patch_flip_rate=float(found.patch_flips.mean()),
        empty_rate=float(empty[:, 0].mean()),
        noisy_empty_rate=float(empty[:, 1:].mean()),
    )


def image_noise(ids: Sequence[str], shape: tuple[int, int, int], sample: int, seed: int) -> Tensor:
    """Standard Gumbel noise of one sample, (B, K + 1, h, w), from image ids alone.

    Args:
        ids: B image ids.
        shape: (K + 1, h, w).
        sample: Which of the samples.
        seed: Seed of the noise.
    """
    size = int(np.prod(shape))
    uniform = [Draws(stable_hash("mask", name), seed, sample).uniform(0, 1, size) for name in ids]
    drawn = np.clip(uniform, 2.0**-54, None)  # 0 would give an infinity
    return torch.from_numpy(-np.log(-np.log(drawn))).float().reshape(-1, *shape)


@dataclass(frozen=True)
class _Batch:
    """(B, S + 1, C) probabilities and (B, S + 1, n) masks, without noise first."""

    prob: NDArray[np.float64]
    masks: NDArray[np.bool_]


def _sample_batch(
    model: Classifier, inner: Ifam, images: Tensor, ids: list[str], samples: int, seed: int
) -> _Batch:
    tokens = inner.stage_1.tokens(images)  # once: noise comes after the backbone
    shape = (inner.stage_1.num_parts + 1, *inner.patch_grid)
    selections: list[Selection] = [inner.select_from(tokens)]
    for sample in range(samples):
        noise = image_noise(ids, shape, sample, seed).to(tokens.device)
        selections.append(inner.select_from(tokens, noise))
    logits = [model.logits_under(images, selection) for selection in selections]
    for values in logits:
        refuse_non_finite(values.cpu().double().numpy(), ids, "the logits are")
    return _Batch(
        prob=np.stack([probabilities(values) for values in logits], axis=1),
        masks=np.stack([s.mask.flatten(1).cpu().numpy() for s in selections], axis=1),
    )


def _accuracies(
    rows: pd.DataFrame, predicted: NDArray[np.int64], groups: Sequence[str]
) -> tuple[float, float]:
    """Accuracy and worst-group accuracy."""
    right, ns = group_counts(rows.assign(correct=predicted == rows["y"]), tuple(groups))
    rates = [c / n for c, n in zip(right, ns, strict=True)]
    return sum(right) / sum(ns), min(rates)


def _spread(values: Sequence[float]) -> Spread:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), std, min(values), max(values))
