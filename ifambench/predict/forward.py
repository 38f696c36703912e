"""What predictions and explanations share: batches, the clean forward pass, probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem
from ifambench.models.base import Classifier
from ifambench.predict.oracle import oracle_patches


class Batch(NamedTuple):
    """Model input on the device."""

    images: Tensor
    """(B, 3, H, W), normalised."""
    masks: Tensor | None
    """(B, h, w) bool patches of the true object, for models that need them."""


@contextmanager
def evaluating(model: Classifier) -> Iterator[None]:
    """The model in eval mode, and afterwards as it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def load_batch(
    model: Classifier, data: SuiteData, rows: pd.DataFrame, device: torch.device | str
) -> Batch:
    """The images of the manifest rows, and their masks if the model needs them."""
    images = model.data_config.normalise(data.pixels.images(rows), device)
    if "true_masks" not in model.capabilities:
        return Batch(images, None)
    return Batch(images, oracle_patches(model, data.pixels.masks(rows)).to(device))


def logits_of(model: Classifier, unmapped: Tensor) -> Tensor:
    """Logits that decide on the label, (B, C), from those of `model.unmapped`."""
    return unmapped if model.label_map is None else model.label_map.logits(unmapped)


def scores_of(model: Classifier, unmapped: Tensor) -> Tensor:
    """Logits whose softmax are the probabilities of the labels, (B, C).

    They differ from those that decide only where labels are made of several classes.
    """
    return unmapped if model.label_map is None else model.label_map.scores(unmapped)


def probabilities(logits: Tensor) -> NDArray[np.float64]:
    """Softmax in double precision on the CPU, (N, C)."""
    return np.asarray(logits.detach().cpu().double().softmax(dim=-1).numpy(), dtype=np.float64)


def refuse_non_finite(values: NDArray[Any], ids: Sequence[str], what: str) -> None:
    """Stop at the first image with a NaN or an infinity.

    Args:
        values: (N, ...) numbers, one entry per image.
        ids: N image ids.
        what: What the numbers are.

    Raises:
        EnvironmentProblem: Naming the image.
    """
    bad = ~np.isfinite(values.reshape(len(ids), -1)).all(axis=1)
    if bad.any():
        raise EnvironmentProblem(
            f"{what} not finite for image {ids[int(bad.argmax())]} "
            f"({int(bad.sum())} of {len(ids)} images of this part)",
            next_step="check the weights and the image; train again if the loss diverged",
        )
