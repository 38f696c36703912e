"""timm vision transformers by size, and what the models here need of one."""

from __future__ import annotations

from typing import Any

from ifambench.errors import UsageError
from ifambench.models.base import Classifier, DataConfig
from ifambench.models.sizes import SIZES
from ifambench.models.timm_import import import_timm


class VitClassifier(Classifier):
    """What all classifiers that are one timm `VisionTransformer` share.

    Args:
        vit: The network; any image size, with or without class and register tokens.
        data_config: The input it expects.

    Raises:
        UsageError: If the network is no vision transformer.
    """

    def __init__(self, vit: Any, data_config: DataConfig) -> None:
        super().__init__()
        check_vit(vit)
        self.vit = vit
        self.data_config = data_config
        self.num_classes = vit.num_classes
        self.patch_grid = tuple(vit.patch_embed.grid_size)
        self.num_prefix_tokens = vit.num_prefix_tokens

    def backbones(self, init: str) -> list[Any]:
        """The one network, when the recipe asks for it."""
        return [self.vit] if init == "pretrained" else []


def make_vit(size: str, image_size: int, num_classes: int, **kwargs: Any) -> Any:
    """A randomly initialised timm `VisionTransformer`.

    Args:
        size: A key of `SIZES`.
        image_size: Height and width in pixels; a multiple of the patch size.
        num_classes: Outputs of its linear head, 0 for none.
        **kwargs: For timm's constructor (`class_token`, `reg_tokens`, `global_pool`, ...).

    Raises:
        UsageError: If the patch does not divide the image size, or timm refuses the options.
    """
    found = SIZES[size]
    check_image_size(image_size, int(kwargs.get("patch_size", found.patch_size)))
    if not found.architecture:
        return micro_vit(image_size, num_classes, **kwargs)
    sizes = {"img_size": image_size, "num_classes": num_classes}
    return import_timm().create_model(found.architecture, **(sizes | kwargs))


def micro_vit(image_size: int, num_classes: int, **kwargs: Any) -> Any:
    """A small timm `VisionTransformer`, randomly initialised; `kwargs` replace its sizes."""
    timm = import_timm()
    sizes = {"img_size": image_size, "num_classes": num_classes}
    sizes |= {"patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 2}
    return timm.models.vision_transformer.VisionTransformer(**(sizes | kwargs))


def data_config_of(size: str, image_size: int) -> DataConfig:
    """The input that the pretrained weights of a size expect."""
    return DataConfig(image_size, SIZES[size].mean, SIZES[size].std)


def check_image_size(image_size: int, patch_size: int) -> None:
    """Refuse a size that the patches do not tile, naming the nearest that they do.

    Raises:
        UsageError: If they do not.
    """
    if image_size >= patch_size and image_size % patch_size == 0:
        return
    below = max(image_size // patch_size, 1) * patch_size
    near = sorted({below, below + patch_size})
    raise UsageError(
        f"patches of {patch_size} pixels do not tile images of {image_size} pixels",
        choices=[str(size) for size in near],
        next_step=f"choose another image_size; on the command line MODEL@image_size={near[-1]}",
    )


def check_vit(network: Any) -> None:
    """Refuse what is not a timm `VisionTransformer`, for instance a CNN or a hybrid with one.

    Raises:
        UsageError: If it is something else.
    """
    timm = import_timm()
    vision_transformer = timm.models.vision_transformer.VisionTransformer
    own_patches = timm.layers.PatchEmbed  # in a hybrid's, patches overlap
    patches = getattr(network, "patch_embed", None)
    if not isinstance(network, vision_transformer) or not isinstance(patches, own_patches):
        raise UsageError(
            f"{type(network).__name__} is not a vision transformer: patches cannot be dropped",
            choices=["a timm VisionTransformer"],
            next_step="choose a backbone whose timm name starts with vit_",
        )


def as_trunk(network: Any) -> Any:
    """A ViT whose final norm works on the tokens; timm's average pooling moves it behind the pool.

    Raises:
        UsageError: If the network is not a timm `VisionTransformer`.
    """
    from torch import nn

    check_vit(network)
    if isinstance(network.norm, nn.Identity):
        network.norm, network.fc_norm = network.fc_norm, network.norm
    return network
