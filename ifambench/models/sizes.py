"""The sizes every model family comes in, and the weights each starts from. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Size:
    """One size of vision transformer.

    Attributes:
        architecture: timm's architecture name, empty for the embedded micro network.
        pretrained: What training starts from: a shipped backbone, or `timm:ARCHITECTURE.TAG`.
        patch_size: Side of a patch in pixels.
        mean: Of the input the pretrained weights expect, on the scale [0, 1].
        std: Likewise.
    """

    architecture: str
    pretrained: str
    patch_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _dinov2(letter: str) -> Size:
    architecture = f"vit_{letter}_patch14_reg4_dinov2"
    return Size(architecture, f"timm:{architecture}.lvd142m", 14, IMAGENET_MEAN, IMAGENET_STD)


def nearest_tiled(image_size: int, patch_size: int) -> int:
    """The image size nearest to the given one that patches tile; the larger of two.

    >>> nearest_tiled(512, 14), nearest_tiled(224, 16)
    (518, 224)
    """
    return max(1, (2 * image_size + patch_size) // (2 * patch_size)) * patch_size


#: By the last part of a model's name: `vit-b`, `ifam-vit-b`. DINOv2 has no tiny network.
SIZES = {
    "micro": Size("", "maskfeat-waterdigits", 8, _HALF, _HALF),
    "ti": Size(
        "vit_tiny_patch16_224",
        "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        16,
        _HALF,
        _HALF,
    ),
    "s": _dinov2("small"),
    "b": _dinov2("base"),
    "l": _dinov2("large"),
}
