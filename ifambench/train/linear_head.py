"""Fitting the linear head of a plain ViT on its frozen features, outside of the training loop."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ifambench.atomic import write_bytes_atomic
from ifambench.errors import UsageError
from ifambench.models.timm_vit import TimmVit
from ifambench.train.ranks import current_ranks
from ifambench.train.trainset import TrainSet

Floats = NDArray[np.float64]
_BATCH = 256
_NEVER = -1e4
"""A logit that loses against every other one and is still a number."""


class Features(NamedTuple):
    """Features of a split."""

    x: Floats
    """(N, D)."""
    y: NDArray[np.int64]
    """(N,)."""
    group: NDArray[np.int64]
    """(N,)."""

    def rows(self, index: NDArray[np.int64]) -> Features:
        """Some of the images."""
        return Features(self.x[index], self.y[index], self.group[index])


class Linear(NamedTuple):
    """A linear classifier on standardised features."""

    weight: Floats
    """(C, D)."""
    bias: Floats
    """(C,)."""

    def right(self, data: Features) -> NDArray[np.bool_]:
        """Which images are classified right, (N,)."""
        found: NDArray[np.bool_] = (data.x @ self.weight.T + self.bias).argmax(1) == data.y
        return found


class Scaling(NamedTuple):
    """Mean and standard deviation of the training features."""

    mean: Floats
    """(D,)."""
    std: Floats
    """(D,), at least 1e-6."""

    @classmethod
    def of(cls, data: Features) -> Scaling:
        """That of a split."""
        return cls(data.x.mean(0), data.x.std(0) + 1e-6)

    def standardised(self, data: Features) -> Features:
        """Mean 0 and deviation 1 on the split the scaling is of."""
        return data._replace(x=(data.x - self.mean) / self.std)

    def raw(self, linear: Linear) -> Linear:
        """The same classifier on raw features."""
        weight = linear.weight / self.std
        return Linear(weight, linear.bias - weight @ self.mean)


@torch.no_grad()
def features(model: TimmVit, images: TrainSet, cache: Path | None = None) -> Features:
    """The input of the head for every image, in manifest order.

    Args:
        model: Left in eval mode.
        images: The split.
        cache: A file to keep them in; read when it is there.
    """
    x = _cached(cache)
    if x is None:
        model.eval()
        x = torch.cat([model.features(b.images).cpu() for b in images.in_order(_BATCH)]).numpy()
        if cache is not None and current_ranks().is_first:
            _keep(cache, x)
    return Features(x.astype(np.float64), images.y.numpy(), images.group.numpy())


def as_linear(
    coefficients: Floats, intercept: Floats, fitted: NDArray[np.int64], classes: int
) -> Linear:
    """A fitted regression as one row per class.

    A binary regression has one row, the log odds of the second class; half of it goes to each.
    A class without an image to fit on gets a bias with which it is never predicted.

    Args:
        coefficients: (F, D) for the F classes that were fitted, or (1, D) for two.
        intercept: (F,) or (1,).
        fitted: (F,) indices of these classes, rising.
        classes: C.
    """
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight, bias = np.zeros((classes, coefficients.shape[1])), np.full(classes, _NEVER)
    weight[fitted], bias[fitted] = coefficients, intercept
    return Linear(weight, bias)


def classes_to_fit(data: Features, what: str) -> NDArray[np.int64]:
    """The classes that have images, rising.

    Raises:
        UsageError: If there are not two of them.
    """
    found = np.unique(data.y)
    if len(found) < 2:
        raise UsageError(f"{what} needs images of two classes at least, there are {len(found)}")
    return found


def set_head(head: nn.Module, linear: Linear) -> None:
    """Write a classifier of raw features into the model's head.

    Raises:
        UsageError: If the head is not linear with bias.
    """
    if not isinstance(head, nn.Linear) or head.bias is None:
        raise UsageError("refitting the last layer needs a model with a linear head with bias")
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(linear.weight))
        head.bias.copy_(torch.from_numpy(linear.bias))


def _cached(path: Path | None) -> NDArray[Any] | None:
    if path is None or not path.is_file():
        return None
    try:
        found: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # damaged: computed again
        return None
    return found


def _keep(path: Path, x: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, x, allow_pickle=False)
    write_bytes_atomic(path, buffer.getvalue())
