"""The one interface of all models: a `Classifier` of normalised images.

Optional abilities are named in `capabilities` and refused with a clear message when absent:

- `tokens`: `logits_from_patches(images, keep)`, run on a subset of patches;
- `trace`: `trace(images)`, the forward pass with attention maps and the Grad-CAM layer exposed;
- `relprop`: a trace of a ViT whose every layer has a published rule of relevance propagation;
- `conv`: `conv_features(images)`, the last feature maps of a CNN and the logits;
- `selection`: `select(images)`, the model's own binary patch mask (two-stage models);
- `parts`: `part_votes(images)`, discovered parts, each with class logits of its own;
- `true_masks`: the model needs the true foreground masks at evaluation (upper bounds).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ifambench.data.images import CropMode, Interpolation, View
from ifambench.errors import UsageError

if TYPE_CHECKING:
    from ifambench.models.label_map import LabelMap


@dataclass(frozen=True)
class DataConfig:
    """How pixels become model input; travels with the weights into the record.

    Attributes:
        image_size: Height and width in pixels.
        mean: Per channel, on the scale [0, 1].
        std: Per channel, on the scale [0, 1].
        crop_pct: Share of the resized image's shorter side that the centre crop keeps.
        interpolation: Of the resize.
        crop_mode: `center`, or `squash` for weights that expect images without their aspect ratio.
    """

    image_size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    crop_pct: float = 1.0
    interpolation: Interpolation = "bilinear"
    crop_mode: CropMode = "center"

    def view(self) -> View:
        """How image files are read for this model."""
        return View(self.image_size, self.crop_pct, self.interpolation, self.crop_mode)

    def normalise(self, images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, zero mean and unit variance."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        mean, std = (torch.tensor(v, device=device) for v in (self.mean, self.std))
        return ((pixels / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


class Selection(NamedTuple):
    """What a two-stage model selects."""

    mask: Tensor
    """(B, h, w) bool: the patches that stage 2 sees."""
    foreground: Tensor
    """(B, h, w) soft foreground probability."""
    part_maps: Tensor
    """(B, K + 1, h, w) part probabilities, background last."""


class Inside(NamedTuple):
    """The blocks of a traced ViT from inside; tensors are in the graph of the logits."""

    vit: Any
    """The timm network."""
    raw: Tensor
    """(B, C) logits of the network, before a label map."""
    hidden: list[Tensor]
    """(B, P + n, D) tokens before the first block and after each one."""
    heads: list[Tensor]
    """Per block, (B, P + n, heads d): what the attention heads give, one after the other."""
    values: list[Tensor]
    """Per block, (B, heads, P + n, d), without gradient."""
    score: Callable[[Tensor], Tensor]
    """From a vector (B, D) in the place of every token after the last block to raw logits."""
    qkv: list[Tensor]
    """Per block, (B, P + n, 3 heads d): queries, keys and values, without gradient."""
    read: Tensor | None
    """(B, D) input of the linear head; None where there is no single linear head."""
    linear: Any
    """The linear head, or None."""


class Trace(NamedTuple):
    """A forward pass with its inner values, for explainers that need attention or gradients."""

    logits: Tensor
    """(B, C)."""
    cam_tokens: Tensor
    """(B, P + n, D) input of the last block's attention (after its norm)."""
    attention: Sequence[Tensor]
    """Per block, (B, heads, P + n, P + n) attention probabilities without gradient; rows sum to 1.
    They may be made at each access: ask once."""
    index: Tensor  # type: ignore[assignment]
    """(B, n) raster index of each patch token."""
    valid: Tensor
    """(B, P + n) bool, False at padding."""
    readout: Tensor
    """(B, P + n) weight of each token in the vector that the head reads; rows sum to 1."""
    inside: Inside | None = None
    """What explainers need that take gradients block by block; always there after `trace_vit`."""


class Classifier(nn.Module):
    """Base of all models.

    Attributes:
        data_config: The input the weights expect.
        num_classes: C.
        patch_grid: (h, w), the grid of relevance maps.
        num_prefix_tokens: P.
        mask_coverage: Models with true masks: a patch is theirs when more than this share of its
            pixels belongs to the object.
        label_map: How classes of the weights become labels of the suite; None: they are the same.
        capabilities: See the module docstring.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()

    data_config: DataConfig
    num_classes: int
    patch_grid: tuple[int, int]
    num_prefix_tokens: int
    mask_coverage: float = 0.5
    label_map: LabelMap | None = None

    @property
    def unmapped(self) -> Classifier:
        """The model in front of `label_map`: itself where there is none."""
        return self

    @abstractmethod
    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits.

        Args:
            images: (B, 3, H, W), normalised by `data_config`.
            masks: (B, h, w) bool, patches of the true object; only for models with the
                capability `true_masks`, which need it.

        Returns:
            (B, C).
        """

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        """Class logits from the patches where `keep` (B, h, w) is True alone."""
        raise self.lacks("tokens")

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass with attention maps and the Grad-CAM layer exposed."""
        raise self.lacks("trace")

    def conv_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature maps of a CNN, (B, D, h', w'), and the class logits made from them."""
        raise self.lacks("conv")

    def select(self, images: Tensor) -> Selection:
        """The model's own selection of patches."""
        raise self.lacks("selection")

    def selection(self, images: Tensor) -> Tensor:
        """The patches that stage 2 sees, (B, h, w) bool."""
        return self.select(images).mask

    def part_maps(self, images: Tensor) -> Tensor:
        """Part probabilities of stage 1, (B, K + 1, h, w), background last."""
        return self.select(images).part_maps

    def logits_under(self, images: Tensor, selection: Selection) -> Tensor:
        """Class logits of the second stage under a selection of this model, (B, C)."""
        return self.logits_from_patches(images, selection.mask)

    def part_votes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Part maps (B, K + 1, h, w), background last, and class logits of each part, (B, K, C)."""
        raise self.lacks("parts")

    def backbones(self, init: str) -> list[Any]:
        """The timm ViTs that start from a pretrained backbone.

        Args:
            init: The recipe's start of the classifier, `pretrained` or `scratch`.
        """
        return []

    def lacks(self, capability: str) -> UsageError:
        """The error for an ability this model does not have."""
        return UsageError(
            f'the model has no capability "{capability}"',
            choices=sorted(self.capabilities),
            next_step="ifambench list models",
        )

    def describe(self) -> dict[str, Any]:
        """What the run record says about the architecture."""
        return {
            "parameters": sum(p.numel() for p in self.parameters()),
            "capabilities": sorted(self.capabilities),
            "data_config": vars(self.data_config),
            "patch_grid": list(self.patch_grid),
        }


def one_image_size(images: Tensor, config: DataConfig) -> None:
    """Refuse what is no batch of images of this size, before a patch embedding fails obscurely.

    Raises:
        UsageError: If the shape is not (B, 3, H, W), or the pixels are not normalised.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise UsageError(
            f"the model takes normalised images (B, 3, H, W) of floats, "
            f"got {images.dtype} {tuple(images.shape)}"
        )
    if tuple(images.shape[-2:]) != (config.image_size, config.image_size):
        raise UsageError(
            f"the model takes {config.image_size} x {config.image_size} images, "
            f"got {images.shape[-2]} x {images.shape[-1]}"
        )
