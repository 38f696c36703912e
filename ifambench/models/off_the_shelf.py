"""Image classifiers as timm publishes them: `timm:ARCHITECTURE.TAG`, a ViT, a CNN or any other.

The weights are those of timm's hub, loaded by timm itself, and the input is what their own
configuration says, in the size they were trained at (not timm's `test_input_size`). A plain ViT can
run on some of its patches and be traced; CNNs show their last feature maps; other networks give
their logits and no more. Relevance maps of CNNs and others have patches of about 16 pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from ifambench.data.images import CropMode, Interpolation
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.backbones import HUB_FILE, download
from ifambench.models.base import Classifier, DataConfig, one_image_size
from ifambench.models.timm_import import import_timm
from ifambench.models.weights import read_any

TIMM = "timm:"
_PATCH = 16


class OffTheShelf(Classifier):
    """A timm network that gives logits.

    Args:
        network: Any timm classifier.
        data_config: The input it expects.
    """

    def __init__(self, network: Any, data_config: DataConfig) -> None:
        super().__init__()
        self.network = network
        self.data_config = data_config
        self.num_classes = network.num_classes
        side = data_config.image_size // patch_side(data_config.image_size)
        self.patch_grid = (side, side)
        self.num_prefix_tokens = 0
        able = has_feature_maps(network, data_config.image_size)
        # of this network, not of the class
        self.capabilities = frozenset({"conv"} if able else ())  # type: ignore[misc]

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits, (B, C)."""
        one_image_size(images, self.data_config)
        logits: Tensor = self.network(images)
        return logits

    def conv_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The maps before the global pooling, (B, D, h', w'), and the class logits (B, C)."""
        if "conv" not in self.capabilities:
            raise self.lacks("conv")
        one_image_size(images, self.data_config)
        features: Tensor = self.network.forward_features(images)
        logits: Tensor = self.network.forward_head(features)
        return features, logits


@torch.no_grad()
def has_feature_maps(network: Any, image_size: int) -> bool:
    """Whether the network makes its logits from maps (B, D, h', w'), channels first.

    It is tried on one image: `forward_features` must give a map that is square as the image is, and
    `forward_head` must make from it the logits of the whole network.
    """
    if not all(hasattr(network, name) for name in ("forward_features", "forward_head")):
        return False
    image = torch.linspace(-1, 1, 3 * image_size**2).reshape(1, 3, image_size, image_size)
    image = image.to(next(network.parameters()))
    was_training = network.training
    network.eval()  # batch statistics stay as they are
    try:
        features = network.forward_features(image)
        if not torch.is_tensor(features) or not _channels_first(features):
            return False
        return torch.allclose(network.forward_head(features), network(image), atol=1e-4)
    finally:
        network.train(was_training)


def _channels_first(features: Tensor) -> bool:
    if features.ndim != 4:
        return False
    _, first, second, third = features.shape
    return second == third != first


def build_timm(source: str) -> Classifier:
    """The classifier of `timm:ARCHITECTURE.TAG`, in eval mode.

    Raises:
        UsageError: If timm has no such weights, they have no classifier, or their input is of
            another kind.
        EnvironmentProblem: If the weights cannot be downloaded, or are damaged.
    """
    name = source.removeprefix(TIMM)
    config = data_config_of(known_config(source), source)
    network = _filled(name, timm_file(source))
    return _classifier(network, config).eval()


def known_config(source: str, *, classifier: bool = True) -> Any:
    """The configuration that timm has of the weights.

    Args:
        source: `timm:ARCHITECTURE.TAG`.
        classifier: Whether they must have a classifier.

    Raises:
        UsageError: If timm has no such weights, has them only elsewhere than on the hub, or they
            classify nothing.
    """
    timm, name = import_timm(), source.removeprefix(TIMM)
    if "." not in name or name not in timm.list_pretrained():
        raise UsageError(
            f'timm has no pretrained weights "{name}"',
            where=source,
            choices=["timm:ARCHITECTURE.TAG, for instance timm:resnet50.a1_in1k"],
            next_step="timm.list_pretrained('*resnet*') lists them",
        )
    config = timm.models.get_pretrained_cfg(name)
    if not config.hf_hub_id:
        raise UsageError(
            f"timm has the weights of {name} at another place than the hub",
            where=source,
            next_step=f"for a plain ViT, download {config.url} and name it as ckpt:PATH",
        )
    if classifier and not config.num_classes:
        raise UsageError(
            f"{name} has no classifier",
            where=source,
            next_step=f"train one on it: --model vit-b --pretrained {source}",
        )
    return config


def timm_file(source: str) -> Path:
    """The weights file, downloaded once and then read from the cache.

    Raises:
        EnvironmentProblem: If it cannot be had.
    """
    config = known_config(source)
    try:
        return download(str(config.hf_hub_id), config.hf_hub_filename or HUB_FILE)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            error.what,
            where=source,
            next_step="go online once, or copy the hub's cache (HF_HOME) from another machine",
        ) from error


def data_config_of(config: Any, source: str) -> DataConfig:
    """The input that the weights expect.

    Raises:
        UsageError: If it is not square, not RGB, or prepared in a way that is unknown here.
    """
    found = import_timm().data.resolve_data_config(pretrained_cfg=config.to_dict())
    channels, height, width = found["input_size"]
    if channels != 3 or height != width:
        raise UsageError(f"the weights take images of {found['input_size']}", where=source)
    for key, known in (("interpolation", Interpolation), ("crop_mode", CropMode)):
        if found[key] not in get_args(known):
            raise UsageError(
                f'the weights want the {key} "{found[key]}"', where=source, choices=get_args(known)
            )
    return DataConfig(
        image_size=height,
        mean=tuple(found["mean"]),
        std=tuple(found["std"]),
        crop_pct=found["crop_pct"],
        interpolation=found["interpolation"],
        crop_mode=found["crop_mode"],
    )


def patch_side(image_size: int) -> int:
    """The divisor of the image size that is nearest to 16.

    >>> patch_side(224), patch_side(299), patch_side(240)
    (16, 13, 16)
    """
    sides = [side for side in range(1, image_size + 1) if image_size % side == 0]
    return min(sides, key=lambda side: abs(side - _PATCH))


def _filled(name: str, path: Path) -> Any:
    """The network with the weights of a file, by timm's own rules for older layouts.

    Raises:
        EnvironmentProblem: If the file is damaged or of another model.
    """
    overlay = {"state_dict": read_any(path), "custom_load": False}
    try:
        network = import_timm().create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
        network.pretrained_cfg.pop("state_dict")  # the tensors would be held twice
        return network
    except (RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EnvironmentProblem(
            f"weights of another model: {reason}",
            where=str(path),
            next_step="remove the file from the hub's cache and get it again",
        ) from error


def _classifier(network: Any, config: DataConfig) -> Classifier:
    """A ViT whose patches can be dropped, where it is one."""
    from ifambench.models.timm_vit import TimmVit

    timm = import_timm()
    plain = timm.models.vision_transformer.VisionTransformer
    if (
        type(network) is plain  # a derived class may read other tokens, or add to them
        and isinstance(network.patch_embed, timm.layers.PatchEmbed)
        and all(_plain_block(block) for block in network.blocks)
        and network.global_pool in ("token", "avg")
    ):
        return TimmVit(network, config)
    return OffTheShelf(network, config)


def _plain_block(block: Any) -> bool:
    """Attention, then an MLP, each behind its norm: what a trace takes for granted."""
    timm = import_timm()
    return (
        type(block) is timm.models.vision_transformer.Block
        and type(block.attn) is timm.models.vision_transformer.Attention
    )
