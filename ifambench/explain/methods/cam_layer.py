"""The layer of Grad-CAM and its relatives: the last one with a place for every part of the image.

On a ViT it is the input of the last block's attention, after its norm. Behind it, with a class
token, the patch tokens have no influence on the output and their gradient is exactly 0. On a CNN it
is the maps before the global pooling; they are coarser than the patch grid, and a map of them is
resized to it bilinearly, as class activation maps are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ifambench.explain.base import ExplainContext
from ifambench.explain.methods.gradients import chosen_logits, graph_from, traced
from ifambench.explain.methods.grid import on_grid
from ifambench.models.base import Classifier

PlaceMap = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(activations (B, n, D), their gradients (B, n, D), places that exist (B, n) bool) -> (B, n)."""


def map_of_layer(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext, place_map: PlaceMap
) -> Tensor:
    """A function of the layer's activations and gradients on the patch grid, (B, h, w)."""
    on_layer = _of_tokens if "trace" in model.capabilities else _of_feature_maps
    return on_layer(model, images, targets, context, place_map)


def _of_tokens(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext, place_map: PlaceMap
) -> Tensor:
    with traced(model, images, targets, context) as (trace, chosen):
        (gradient,) = torch.autograd.grad(chosen, trace.cam_tokens)
    prefix = model.num_prefix_tokens
    tokens, kept = trace.cam_tokens[:, prefix:].detach(), trace.valid[:, prefix:]
    return on_grid(model, trace, place_map(tokens, gradient[:, prefix:], kept))


def _of_feature_maps(
    model: Classifier, images: Tensor, targets: Tensor, context: ExplainContext, place_map: PlaceMap
) -> Tensor:
    with graph_from(images, context) as (pixels, _):
        features, logits = model.conv_features(pixels)
        (gradient,) = torch.autograd.grad(chosen_logits(logits, targets), features)
    places, slopes = (maps.detach().flatten(2).transpose(1, 2) for maps in (features, gradient))
    everywhere = torch.ones_like(places[..., 0], dtype=torch.bool)
    found = place_map(places, slopes, everywhere).reshape(len(features), *features.shape[2:])
    return resized(found, model.patch_grid)


def resized(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps (B, h', w') on the patch grid, bilinear where the sizes differ."""
    if tuple(maps.shape[1:]) == tuple(grid):
        return maps
    smaller = grid[0] < maps.shape[1]
    return F.interpolate(maps[:, None], size=grid, mode="bilinear", antialias=smaller)[:, 0]
