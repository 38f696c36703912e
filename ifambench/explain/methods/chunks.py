"""Explain a batch in pieces, so that memory is bounded by tokens and not by the caller's batch.

An attention map has tokens x tokens entries per head, and a graph holds every block's activations:
at 1,374 tokens a batch that is small for a prediction is too large for an explanation. Images do
not depend on each other, so the pieces change no result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ifambench.models.base import Classifier

_TOKENS = 2**13
"""Tokens of a piece: 41 images of 197 tokens, 5 of 1,374."""
_PAIRS = 2**22
"""Pairs of tokens of a piece, the size of one head's attention maps: 108 such images, or 2."""

_Explain = Callable[[Classifier, Tensor, Tensor, Any], Tensor]


def in_chunks(explain: _Explain) -> _Explain:
    """The same explainer, called with few enough images at a time."""

    @wraps(explain)
    def explain_in_chunks(
        model: Classifier, images: Tensor, targets: Tensor, context: Any
    ) -> Tensor:
        size = chunk_size(model, context.batch_size)
        if len(images) <= size:
            return explain(model, images, targets, context)
        parts = [slice(first, first + size) for first in range(0, len(images), size)]
        found = [explain(model, images[p], targets[p], part_of(context, p)) for p in parts]
        return torch.cat(found)

    return explain_in_chunks


def chunk_size(model: Classifier, batch_size: int) -> int:
    """Images at a time, at least one and at most `batch_size`."""
    h, w = model.patch_grid
    tokens = model.num_prefix_tokens + h * w
    return max(1, min(batch_size, _TOKENS // tokens, _PAIRS // tokens**2))


def part_of(context: Any, chosen: slice) -> Any:
    """The context of some of the images."""
    masks = None if context.masks is None else context.masks[chosen]
    return replace(context, ids=context.ids[chosen], masks=masks)
