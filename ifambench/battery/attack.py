"""T9: can pixels outside of the mask change the prediction, and do they change the mask then?

Projected gradient ascent (Madry et al. 2018, arXiv 1706.06083) on the cross entropy of the
predicted label, over the pixels outside of M(x), within +-epsilon of their colours and within the
range of colours; random start, step size 2.5 epsilon / steps. The gradient goes through the hard
mask of iFAM straight through. The masks of other models pass none: theirs is the gradient of the
patches that the mask of the moved image has let in, and where that is 0 at every pixel the
direction is drawn. So a rate of successes is a lower bound, and a loose one for those models.

`success` is 1 where the label of f changed at any step. `mask_changed` is defined for successes: 1
when the mask of the image that succeeded differs from M(x). By T1 it must be 1; a success under an
unchanged mask is a leak.

The sign of a tiny gradient turns with the rounding of a batch, so batches have a fixed size here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ifambench.battery.fills import noise_images, pixels_of
from ifambench.battery.masked import MaskedModel
from ifambench.battery.part import Part, Value, to_numpy, where_known
from ifambench.battery.work import CHUNK
from ifambench.explain.base import stable_hash


@dataclass(frozen=True)
class _Room:
    """Where the attack may go: bounds of every pixel, and the pixels it may change."""

    low: Tensor
    high: Tensor
    outside: Tensor

    def kept(self, images: Tensor, clean: Tensor) -> Tensor:
        """The nearest allowed images."""
        inside = torch.minimum(torch.maximum(images, self.low), self.high)
        return torch.where(self.outside, inside, clean)


def background_attack(part: Part) -> list[Value]:
    """T9: `success` and `mask_changed`."""
    with part.masked.sibling(batch_size=CHUNK) as masked:
        success, changed = (to_numpy(found) for found in _attacked(part, masked))
    return [
        Value("success", "pgd", success.astype(np.float64)),
        Value("mask_changed", "pgd", where_known(changed, success)),
    ]


def _attacked(part: Part, masked: MaskedModel) -> tuple[Tensor, Tensor]:
    """Whether the label changed, and whether the mask did at the first success, (B,) bool each."""
    clean, true_masks = part.images, part.batch.masks
    selection = masked.select(clean, true_masks)
    labels = masked.decide(masked.under(clean, selection)).argmax(dim=1)
    room, step = _room(part, selection.mask)
    generators = _generators(part)
    success = changed = torch.zeros_like(labels, dtype=torch.bool)
    images = room.kept(_start(part), clean)
    for left in reversed(range(part.settings.attack_steps + 1)):
        flipped, moved = _outcome(masked, images, true_masks, labels, selection.mask)
        changed = changed | (flipped & ~success & moved)
        success = success | flipped
        if not left or bool(success.all()):
            break
        gradient = masked.attack_gradient(images, true_masks, labels)
        images = room.kept(images + step * _direction(gradient, room, generators), clean)
    return success, changed


def _outcome(
    masked: MaskedModel, images: Tensor, true_masks: Tensor | None, labels: Tensor, own: Tensor
) -> tuple[Tensor, Tensor]:
    """Whether the label changed, and whether the mask did, (B,) bool each."""
    selection = masked.select(images, true_masks)
    now = masked.decide(masked.under(images, selection)).argmax(dim=1)
    return now != labels, (selection.mask != own).flatten(1).any(dim=1)


def _room(part: Part, own: Tensor) -> tuple[_Room, Tensor]:
    """The bounds, and the length of a step per channel."""
    config, clean = part.masked.model.data_config, part.images
    mean, std = (clean.new_tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
    reach = part.settings.attack_epsilon / std
    black, white = -mean / std, (1 - mean) / std
    low, high = torch.maximum(clean - reach, black), torch.minimum(clean + reach, white)
    room = _Room(low, high, ~pixels_of(own, clean))
    return room, 2.5 * reach / max(part.settings.attack_steps, 1)


def _start(part: Part) -> Tensor:
    """Uniform in the colours' range of +-epsilon."""
    config, settings = part.masked.model.data_config, part.settings
    std = part.images.new_tensor(config.std).view(1, 3, 1, 1)
    mean = part.images.new_tensor(config.mean).view(1, 3, 1, 1)
    colours = noise_images(part.ids, config, settings.seed).to(part.images) * std + mean
    return part.images + (2 * colours - 1) * settings.attack_epsilon / std


def _direction(gradient: Tensor, room: _Room, generators: list[torch.Generator]) -> Tensor:
    """Signs of the gradient; random ones for an image without any gradient."""
    outside = torch.where(room.outside, gradient, 0)
    found = outside.sign()
    for k, generator in enumerate(generators):
        if not bool(outside[k].any()):
            drawn = torch.randint(0, 2, found.shape[1:], generator=generator)
            found[k] = (2 * drawn - 1).to(found)
    return found


def _generators(part: Part) -> list[torch.Generator]:
    seeds = [stable_hash("battery", "attack", name, part.settings.seed) for name in part.ids]
    return [torch.Generator().manual_seed(seed) for seed in seeds]
