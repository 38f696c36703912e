"""From the tokens of a forward pass to the patch grid, when some patches were dropped.

A dropped patch has no token: given the mask it cannot matter, so it must come last in the order of
relevance. Its value lies below all kept ones and is never positive (it adds nothing to the positive
relevance); beyond that the value means nothing. Where no patch is kept the map is constant, 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.models.base import Classifier, Trace

_STEP_BELOW = 0.01
"""Dropped patches lie below the kept ones by this share of the largest magnitude."""


def on_grid(model: Classifier, trace: Trace, values: Tensor) -> Tensor:
    """Values of the patch tokens (B, n) on the grid (B, h, w)."""
    h, w = model.patch_grid
    kept = trace.valid[:, model.num_prefix_tokens :]
    place = torch.where(kept, trace.index, h * w)  # padding goes to a place that is cut off
    grid = _below(values, kept).repeat(1, h * w + 1).scatter(1, place, values)
    return grid[:, :-1].reshape(-1, h, w)


def tokens_on_grid(model: Classifier, trace: Trace, values: Tensor) -> Tensor:
    """As `on_grid`, from values of all tokens (B, P + n): those of the prefix are left out."""
    return on_grid(model, trace, values[:, model.num_prefix_tokens :])


def _below(values: Tensor, kept: Tensor) -> Tensor:
    """The value of dropped patches, (B, 1)."""
    # the added column is not a patch: it makes the extremes exist where no patch is kept
    lowest = F.pad(values.masked_fill(~kept, torch.inf), (0, 1), value=torch.inf).amin(dim=1)
    largest = F.pad(values.masked_fill(~kept, 0).abs(), (0, 1)).amax(dim=1)
    step = torch.where(largest > 0, _STEP_BELOW * largest, 1.0)
    below = torch.where(lowest.isinf(), 0.0, lowest - step).clamp(max=0)
    return below[:, None]
