"""Predictions of a two-stage model under noisy masks, beside that without noise.

The published code adds Gumbel noise to the part scores in evaluation too, so its numbers change
from run to run. Here evaluation is deterministic, and the effect of the noise is measured: N noisy
masks per image, one prediction from each.

The noise belongs to image, sample and seed; it does not depend on batch, order or device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ifambench.data.draws import Draws
from ifambench.data.manifest import SuiteData
from ifambench.errors import UsageError
from ifambench.explain.base import stable_hash
from ifambench.models.base import Classifier, Selection
from ifambench.models.ifam import Ifam
from ifambench.predict.forward import (
    evaluating,
    load_batch,
    logits_of,
    probabilities,
    refuse_non_finite,
    scores_of,
)
from ifambench.predict.journal import Journal, Row, chunk_name, finished
from ifambench.predict.loop import slices
from ifambench.progress import Progress

CHUNK = 64
"""Images per journal entry; fixed, so that a run can go on with another batch size."""

_GIVEN = ("id", "split", "variant", "group", "y")
_OF_A_MASK = ("y_pred", "n_selected", "patch_flips")


def sample_masks(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    *,
    samples: int,
    seed: int,
    batch_size: int,
    device: torch.device | str,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict the manifest rows without noise and under noisy masks.

    Args:
        model: On `device` already; left in the mode it was in.
        data: Where the pixels are.
        rows: Manifest rows of one variant.
        samples: S, at least 1.
        seed: Seed of the noise.
        batch_size: Images per forward pass; it changes no result.
        device: Where to compute.
        journal: Finished chunks are read from it and added to it.
        progress: Told about each batch.

    Returns:
        S + 1 rows per row, in the same order: `id, split, variant, group, y, sample` (0 is without
        noise), `y_pred, n_selected`, `patch_flips` (share of the patches that the noise adds or
        takes away), and `y_pred_averaged`, the class of the largest probability averaged over the
        noisy masks, the same in all rows of an image.

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
    sampler = _Sampler(model, inner, data, samples, seed, batch_size, device, progress)
    found: list[Row] = []
    with evaluating(model), torch.inference_mode():
        for chunk in slices(rows, CHUNK):
            name = chunk_name(f"masks/{samples}/{seed}", chunk)
            if journal and journal.get(name):
                progress.advance(len(chunk), "reused")
            found += finished(journal, name, partial(sampler.of_chunk, chunk))
    return _table(rows, found, samples)


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
class _Sampler:
    """The work on one chunk of images."""

    model: Classifier
    inner: Ifam
    data: SuiteData
    samples: int
    seed: int
    batch_size: int
    device: torch.device | str
    progress: Progress

    def of_chunk(self, chunk: pd.DataFrame) -> list[Row]:
        """One row per image, each with S + 1 values of what a mask has."""
        found: list[Row] = []
        for rows in slices(chunk, self.batch_size):
            images = load_batch(self.model, self.data, rows, self.device).images
            found += self._of_batch(images, list(rows["id"]))
            self.progress.advance(len(rows))
        return found

    def _of_batch(self, images: Tensor, ids: list[str]) -> list[Row]:
        selections = self._selections(images, ids)
        under = [self.inner.logits_under(images, each) for each in selections]
        logits = torch.stack([logits_of(self.model, each) for each in under], dim=1).cpu()
        refuse_non_finite(logits.numpy(), ids, "the logits are")
        scores = torch.stack([scores_of(self.model, each) for each in under[1:]], dim=1)
        masks = torch.stack([each.mask.flatten(1) for each in selections], dim=1).cpu()
        columns = {
            "y_pred": logits.argmax(dim=2),  # (B, S + 1)
            "n_selected": masks.sum(dim=2),
            "patch_flips": (masks != masks[:, :1]).double().mean(dim=2),
            "y_pred_averaged": probabilities(scores).mean(axis=1).argmax(axis=1),  # (B,)
        }
        lists = [values.tolist() for values in columns.values()]
        return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]

    def _selections(self, images: Tensor, ids: list[str]) -> list[Selection]:
        """Without noise first."""
        tokens = self.inner.stage_1.tokens(images)  # once: noise comes after the backbone
        shape = (self.inner.stage_1.num_parts + 1, *self.inner.patch_grid)
        noises = (image_noise(ids, shape, k, self.seed) for k in range(self.samples))
        noisy = (self.inner.select_from(tokens, noise.to(tokens.device)) for noise in noises)
        return [self.inner.select_from(tokens), *noisy]


def _table(rows: pd.DataFrame, found: list[Row], samples: int) -> pd.DataFrame:
    masks, images = samples + 1, rows[list(_GIVEN)].reset_index(drop=True)
    table = images.loc[images.index.repeat(masks)].reset_index(drop=True)
    every = {name: [value for row in found for value in row[name]] for name in _OF_A_MASK}
    averaged = [row["y_pred_averaged"] for row in found for _ in range(masks)]
    return table.assign(
        sample=np.tile(np.arange(masks), len(images)), **every, y_pred_averaged=averaged
    )
