"""What the mask M(x) of a model is, and what predicts under a mask: g(x, M).

- Two-stage models and explain-then-predict: M is `select`, g is `logits_under` for a selection of
  the model and `logits_from_patches` for any other mask.
- iFAM with a soft mask: g is stage 2 under soft weights (0 and 1 for any other mask). The shown
  mask is the hard one, so what g hears of the patches outside is a leak, and is measured as one.
- Models that need the true masks: M is the true mask. With `tokens` only its patches are seen
  (`oracle-vit`); without, the mask comes late (`late-vit`).

All logits here are those of `model.unmapped`; `decide` and `probability` speak of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.models.base import Classifier, Selection
from ifambench.models.ifam import Ifam
from ifambench.models.masks import foreground_log_odds, straight_through_mask
from ifambench.predict.forward import logits_of, probabilities, scores_of

_HAVE = [
    "ifam-vit-* (two stages)",
    "gradcam-vit-* and rollout-vit-* (explain, then predict)",
    "oracle-vit-* and late-vit-* (true masks)",
]


class MaskedModel:
    """A model with a mask of its own, taken apart into M and g.

    Args:
        model: In eval mode, on its device.
        batch_size: Inputs per forward pass.

    Attributes:
        n_forwards: Inputs that M or g have seen; a gradient counts as two more.
    """

    def __init__(self, model: Classifier, batch_size: int) -> None:
        self.model = model
        self.inner = model.unmapped
        self.batch_size = batch_size
        self.n_forwards = 0

    @contextmanager
    def sibling(
        self, model: Classifier | None = None, batch_size: int | None = None
    ) -> Iterator[Self]:
        """Another model, or another batch size, for a while; what it costs is counted here."""
        other = type(self)(model or self.model, batch_size or self.batch_size)
        yield other
        self.n_forwards += other.n_forwards

    @property
    def soft(self) -> bool:
        """Whether g takes weights between 0 and 1."""
        return isinstance(self.inner, Ifam) and self.inner.mask_gradient == "soft"

    @property
    def drops(self) -> bool:
        """Whether the model claims to drop what is outside a mask, so that not even NaN passes."""
        return "tokens" in self.inner.capabilities and not self.soft

    def select(self, images: Tensor, true_masks: Tensor | None) -> Selection:
        """M: the mask (B, h, w) with the soft foreground it comes from.

        Args:
            images: (B, 3, H, W).
            true_masks: (B, h, w) bool, for models that need them.
        """
        batches = self._batches(len(images))
        found = [self._select(images[part], _cut(true_masks, part)) for part in batches]
        return Selection(*(torch.cat(values) for values in zip(*found, strict=True)))

    def mask(self, images: Tensor, true_masks: Tensor | None) -> Tensor:
        """M alone, (B, h, w) bool."""
        return self.select(images, true_masks).mask

    def under(self, images: Tensor, selection: Selection) -> Tensor:
        """Logits g(x, M) under a selection of this model, (B, C)."""
        batches = self._batches(len(images))
        return torch.cat([self._under(images[part], _part(selection, part)) for part in batches])

    def given(self, images: Tensor, keep: Tensor) -> Tensor:
        """Logits g(x, keep) under any mask (B, h, w) bool, (B, C)."""
        batches = self._batches(len(images))
        return torch.cat([self._given(images[part], keep[part]) for part in batches])

    def decide(self, logits: Tensor) -> Tensor:
        """Logits of the labels, (B, L)."""
        return logits_of(self.model, logits)

    def predicted(self, logits: Tensor) -> NDArray[np.int64]:
        """(B,) labels."""
        return np.asarray(self.decide(logits).argmax(dim=1).cpu().numpy(), dtype=np.int64)

    def probability(self, logits: Tensor, targets: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B,) probability of the targets."""
        found: NDArray[np.float64] = probabilities(scores_of(self.model, logits))
        return found[np.arange(len(targets)), targets]

    def gradient(self, images: Tensor, selection: Selection, targets: Tensor) -> Tensor:
        """Gradient of the target's logit at the pixels, the mask fixed, (B, 3, H, W)."""

        def chosen(pixels: Tensor, part: slice) -> Tensor:
            logits = self.decide(self._under(pixels, _part(selection, part)))
            return logits.gather(1, targets[part, None]).sum()

        return self._pixel_gradient(images, chosen)

    def attack_gradient(self, images: Tensor, true_masks: Tensor | None, targets: Tensor) -> Tensor:
        """Gradient of the cross entropy at the pixels, through the mask where that is possible.

        The hard mask of iFAM passes a straight-through gradient, that of the sum of its parts. The
        masks of other models pass none.
        """

        def loss(pixels: Tensor, part: slice) -> Tensor:
            logits = self.decide(self._differentiable(pixels, _cut(true_masks, part)))
            return torch.nn.functional.cross_entropy(logits, targets[part], reduction="sum")

        return self._pixel_gradient(images, loss)

    def _pixel_gradient(self, images: Tensor, value: Callable[[Tensor, slice], Tensor]) -> Tensor:
        found = []
        for part in self._batches(len(images)):
            with torch.enable_grad():
                pixels = images[part].detach().clone().requires_grad_()
                total = value(pixels, part)
                (gradient,) = torch.autograd.grad(total, pixels, allow_unused=True)
            self.n_forwards += 2 * len(pixels)
            found.append(torch.zeros_like(pixels) if gradient is None else gradient)
        return torch.cat(found).detach()

    def _differentiable(self, images: Tensor, true_masks: Tensor | None) -> Tensor:
        selection = self._select(images, true_masks)
        inner = self.inner
        if not isinstance(inner, Ifam) or self.soft:
            return self._under(images, selection)
        mask = straight_through_mask(selection.part_maps, inner.mask_erosion)
        self.n_forwards += len(images)
        return inner.stage_2.weighted(images, mask.flatten(1))

    def _select(self, images: Tensor, true_masks: Tensor | None) -> Selection:
        self.n_forwards += len(images)
        return self.inner.select(images)

    def _under(self, images: Tensor, selection: Selection) -> Tensor:
        self.n_forwards += len(images)
        return self.inner.logits_under(images, selection)

    def _given(self, images: Tensor, keep: Tensor) -> Tensor:
        self.n_forwards += len(images)
        if self.soft and isinstance(self.inner, Ifam):
            return self.inner.masked_logits(images, keep.to(images))
        return self.inner.logits_from_patches(images, keep)

    def _batches(self, n: int) -> Iterator[slice]:
        for start in range(0, n, self.batch_size):
            yield slice(start, start + self.batch_size)


class TrueMasked(MaskedModel):
    """A model whose mask is the true object."""

    def _select(self, images: Tensor, true_masks: Tensor | None) -> Selection:
        if true_masks is None:
            raise self.inner.lacks("prediction without true masks")
        soft = true_masks.to(images)
        return Selection(true_masks, soft, torch.stack([soft, 1 - soft], dim=1))

    def _under(self, images: Tensor, selection: Selection) -> Tensor:
        return self._given(images, selection.mask)

    def _given(self, images: Tensor, keep: Tensor) -> Tensor:
        self.n_forwards += len(images)
        if "tokens" in self.inner.capabilities:
            return self.inner.logits_from_patches(images, keep)
        return self.inner.logits(images, keep)


def strength(selection: Selection) -> NDArray[np.float64]:
    """How strongly each patch is selected, (B, h, w)."""
    maps = selection.part_maps.detach().cpu().double()
    return np.asarray(foreground_log_odds(maps).numpy(), dtype=np.float64)


def masked_model(model: Classifier, batch_size: int = 64) -> MaskedModel:
    """The model as M and g.

    Raises:
        UsageError: If it has no mask of its own; the message names the models that do.
    """
    able = model.capabilities
    if "true_masks" in able:
        return TrueMasked(model, batch_size)
    if {"selection", "tokens"} <= able:
        return MaskedModel(model, batch_size)
    raise UsageError(
        "the model has no mask of its own, so there is nothing the battery could test",
        where="--battery",
        choices=_HAVE,
        next_step="leave --battery out, or choose a model with a mask",
    )


def _cut(masks: Tensor | None, part: slice) -> Tensor | None:
    return None if masks is None else masks[part]


def _part(selection: Selection, part: slice) -> Selection:
    return Selection(*(values[part] for values in selection))
