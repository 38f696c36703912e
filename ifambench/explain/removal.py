"""The model as a function of (image, patches that are left), for one operator and some images.

Everything that does not depend on the patches left is made once per image: fill, embedded tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ifambench.explain.fills import fill_of, fill_patches
from ifambench.explain.operators import FILLS, check_operator
from ifambench.explain.token_mixing import TokenPath, dropping_path, mix, mixing_path, take
from ifambench.models.base import Classifier


@dataclass
class Removal:
    """One operator on some images.

    Attributes:
        model: In eval mode, on the device of the images; without a label map (`unmapped`).
        operator: One of `operators.OPERATORS`.
        images: (N, 3, H, W), normalised.
        ids: N image ids, for fills with random numbers.
        masks: (N, h, w) bool patches of the true object, for models that need them.
        seed: Of those random numbers.
    """

    model: Classifier
    operator: str
    images: Tensor
    ids: Sequence[str]
    masks: Tensor | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_operator(self.operator, self.model)

    @property
    def num_patches(self) -> int:
        """Patches of an image, n."""
        down, across = self.model.patch_grid
        return down * across

    @property
    def drops(self) -> bool:
        """Whether patches leave the sequence, so that sets of equal size belong together."""
        return self.operator not in FILLS

    @cached_property
    def allowed(self) -> Tensor | None:
        """(N, n) bool: the patches that the model may be shown; None: all."""
        if not self.drops or self.masks is None:
            return None
        return self.masks.flatten(1)

    @property
    def shared_empty(self) -> bool:
        """Whether all images are the same input once all patches are removed."""
        return self.drops or (self.operator in ("mean", "black") and self.masks is None)

    @property
    def keeps_prediction(self) -> bool:
        """Whether the input with all patches is the clean image as the model predicts it."""
        return self.operator != "model"

    def tokens(self, count: int) -> int:
        """Tokens that a set of `count` patches costs."""
        prefix = self.model.num_prefix_tokens
        # without a path the whole image is embedded for each set
        return prefix + (count if self.drops and self._path else self.num_patches)

    def logits(self, index: Tensor, keep: Tensor, count: int) -> Tensor:
        """Class logits before any label map.

        Args:
            index: (M,) the image of each set.
            keep: (M, n) bool.
            count: The number of kept patches, the same in each row; only read where `drops`.

        Returns:
            (M, C).
        """
        prefix, path = self.model.num_prefix_tokens, self._path
        if path and self.drops:
            return path.classify(take(self._embedded, index, keep, count, prefix))
        if path:
            fill = self._embedded_fill
            other = fill if len(fill) == 1 else fill[index]
            return path.classify(mix(self._embedded[index], other, keep, prefix))
        grid = keep.view(-1, *self.model.patch_grid)
        if self.drops:
            return self.model.logits_from_patches(self.images[index], grid)
        other = self._fill if len(self._fill) == 1 else self._fill[index]
        masks = None if self.masks is None else self.masks[index]
        return self.model.logits(fill_patches(self.images[index], grid, other), masks)

    @cached_property
    def _path(self) -> TokenPath | None:
        return dropping_path(self.model) if self.drops else mixing_path(self.model)

    @cached_property
    def _fill(self) -> Tensor:
        return fill_of(self.operator, self.images, self.ids, self.model.data_config, self.seed)

    @cached_property
    def _embedded(self) -> Tensor:
        return self._embed(self.images)

    @cached_property
    def _embedded_fill(self) -> Tensor:
        return self._embed(self._fill)

    def _embed(self, images: Tensor) -> Tensor:
        """(N, P + n, D)."""
        assert self._path is not None
        embed = self._path.embed
        return torch.cat([embed(part) for part in torch.split(images, _EMBEDDED_AT_ONCE)])


_EMBEDDED_AT_ONCE = 8
