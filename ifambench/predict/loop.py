"""Predictions of a model on manifest rows: the table that every accuracy is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ifambench.data.manifest import SuiteData
from ifambench.models.base import Classifier
from ifambench.predict.forward import (
    Batch,
    evaluating,
    load_batch,
    logits_of,
    probabilities,
    refuse_non_finite,
    scores_of,
)
from ifambench.predict.journal import Journal, Row, chunk_name, finished
from ifambench.progress import Progress

CHUNK = 512
"""Images per journal entry; fixed, so that a run can go on with another batch size."""

_GIVEN = ("id", "split", "variant", "group", "y")


def predict(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    *,
    batch_size: int,
    device: torch.device | str,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict the manifest rows.

    Args:
        model: On `device` already; left in the mode it was in.
        data: Where the pixels are.
        rows: Manifest rows of any splits and variants.
        batch_size: Images per forward pass; it changes no result.
        device: Where to compute.
        journal: Finished chunks are read from it and added to it.
        progress: Told about each batch.

    Returns:
        One row per row, in the same order: `id, split, variant, group, y, a_*, y_pred, prob_true,
        prob_pred, margin`, and `n_selected` for models that select patches. Probabilities are
        softmax; the margin is the logit of the true class minus the largest other one. Where labels
        are made of several classes, see `ifambench.models.label_map`.

    Raises:
        EnvironmentProblem: If a logit is not finite; the message names the image.
    """
    progress = progress or Progress()
    progress.start("predict", len(rows))
    found: list[Row] = []
    with evaluating(model), torch.inference_mode():
        for chunk in slices(rows, CHUNK):
            name = chunk_name("predict", chunk)
            if journal and journal.get(name):
                progress.advance(len(chunk), "reused")
            make = partial(_predict_chunk, model, data, chunk, batch_size, device, progress)
            found += finished(journal, name, make)
    return _table(rows, found, "selection" in model.capabilities)


def _table(rows: pd.DataFrame, found: list[Row], selects: bool) -> pd.DataFrame:
    given = [*_GIVEN, *(name for name in rows.columns if name.startswith("a_"))]
    columns = ["y_pred", "prob_true", "prob_pred", "margin", *(["n_selected"] if selects else [])]
    predicted = pd.DataFrame(found, columns=columns)
    return pd.concat([rows[given].reset_index(drop=True), predicted], axis=1)


def slices(rows: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """The rows in parts of a size, the last one smaller."""
    for start in range(0, len(rows), size):
        yield rows.iloc[start : start + size]


def _predict_chunk(
    model: Classifier,
    data: SuiteData,
    chunk: pd.DataFrame,
    batch_size: int,
    device: torch.device | str,
    progress: Progress,
) -> list[Row]:
    found: list[Row] = []
    for rows in slices(chunk, batch_size):
        found += _scores(rows, classify(model, load_batch(model, data, rows, device)))
        progress.advance(len(rows))
    return found


class Classified(NamedTuple):
    """What a model says of a batch."""

    logits: Tensor
    """(B, C), which decide on the label."""
    scores: Tensor
    """(B, C), whose softmax are its probabilities."""
    selected: Tensor | None
    """(B, h, w), the patches that a model selects."""


def classify(model: Classifier, batch: Batch) -> Classified:
    """Logits, scores and selected patches, from one forward pass."""
    unmapped, selected = _unmapped_logits(model.unmapped, batch)
    return Classified(logits_of(model, unmapped), scores_of(model, unmapped), selected)


def _unmapped_logits(model: Classifier, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Stage 1 of a two-stage model runs once: its selection is what stage 2 is given."""
    if "selection" not in model.capabilities:
        return model.logits(batch.images, batch.masks), None
    selection = model.select(batch.images)
    if "tokens" not in model.capabilities:
        return model.logits(batch.images, batch.masks), selection.mask
    return model.logits_under(batch.images, selection), selection.mask


def _scores(rows: pd.DataFrame, found: Classified) -> list[Row]:
    values = found.logits.cpu().double().numpy()
    refuse_non_finite(values, list(rows["id"] + " (" + rows["variant"] + ")"), "the logits are")
    prob = probabilities(found.scores)
    y, every = rows["y"].to_numpy(), np.arange(len(rows))
    y_pred = values.argmax(axis=1)
    others = values.copy()
    others[every, y] = -np.inf
    columns: dict[str, Any] = {
        "y_pred": y_pred,
        "prob_true": prob[every, y],
        "prob_pred": prob[every, y_pred],
        "margin": values[every, y] - others.max(axis=1),
    }
    if found.selected is not None:
        columns["n_selected"] = found.selected.flatten(1).sum(dim=1).cpu().numpy()
    names, lists = list(columns), [column.tolist() for column in columns.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]
