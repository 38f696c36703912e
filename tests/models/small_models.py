"""Small random models of every kind, with weights large enough that inputs matter."""

from collections.abc import Callable
from typing import Any

import torch

from ifambench.models.base import Classifier, DataConfig
from ifambench.models.ifam import build_ifam
from ifambench.models.timm_vit import OracleVit, TimmVit
from ifambench.models.vit import micro_vit

SIDE = 32  # 4 x 4 patches
GRID = (4, 4)
CLASSES = 3


def lively(model: Any) -> Any:
    """Larger weights than the usual start, so that logits differ between images."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.15)
    return model.eval()


def vit(kind: type[TimmVit] = TimmVit, **kwargs: Any) -> Classifier:
    torch.manual_seed(0)
    return lively(kind(micro_vit(SIDE, num_classes=CLASSES, **kwargs), DataConfig(SIDE)))


def ifam() -> Classifier:
    torch.manual_seed(0)
    return lively(build_ifam(num_classes=CLASSES, image_size=SIDE))


AVERAGED = {"class_token": False, "global_pool": "avg"}

KINDS: dict[str, Callable[[], Classifier]] = {
    "plain": vit,
    "no-class-token": lambda: vit(**AVERAGED),
    "registers": lambda: vit(reg_tokens=4),
    "oracle": lambda: vit(OracleVit),
    "oracle-averaged": lambda: vit(OracleVit, **AVERAGED),
    "ifam": ifam,
}


def images(n: int = 5, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def keeps(n: int = 5, seed: int = 2) -> torch.Tensor:
    """Masks of different areas, at least one patch each."""
    found = torch.rand(n, *GRID, generator=torch.Generator().manual_seed(seed)) > 0.6
    found[:, 1, 2] = True
    return found


def masks_for(model: Classifier, n: int = 5) -> torch.Tensor | None:
    return keeps(n) if "true_masks" in model.capabilities else None
