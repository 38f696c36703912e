"""`ifambench.load_model`: a model by its name, for use from Python."""

from __future__ import annotations

from typing import Any

from ifambench.errors import UsageError
from ifambench.models.backbones import find_backbone, load_backbone
from ifambench.models.base import Classifier
from ifambench.models.catalog import ModelChoice, choose_model
from ifambench.models.checkpoints import build_given

_IMAGE_SIZE = 224


def load_model(
    name: str,
    *,
    num_classes: int | None = None,
    pretrained: bool | str = False,
    **options: Any,
) -> Classifier:
    """A model in eval mode.

    Its `logits(images)`, `selection(images)` and `part_maps(images)` take images normalised by
    its `data_config`, (B, 3, H, W).

    Args:
        name: Published (`ifam-vit-b.waterbirds-k8`) or given weights (`ckpt:PATH`,
            `hf-hub:OWNER/REPO`); or an architecture (`vit-b`), whose head is not trained.
        num_classes: C; an architecture needs it, given weights have it.
        pretrained: For an architecture: fill its backbones from the weights its training starts
            from, or from the backbone of that name.
        **options: For an architecture: `image_size`, `num_parts`, `mask_gradient`, ...

    Raises:
        UsageError: If there is no such model, or an option does not fit.
        EnvironmentProblem: If weights are missing or damaged.
    """
    choice = choose_model(name)
    if choice.source is not None:
        return build_given(num_classes, choice.source, **options)
    if num_classes is None:
        raise UsageError(
            f"{name} is an architecture without weights: how many classes?",
            next_step=f'load_model("{name}", num_classes=2)',
        )
    model = _build(choice, {"num_classes": num_classes, "image_size": _IMAGE_SIZE} | options)
    if pretrained:
        start = choice.pretrained if pretrained is True else pretrained
        for vit in model.backbones("pretrained"):
            load_backbone(find_backbone(str(start)), vit)
    return model.eval()


def _build(choice: ModelChoice, options: dict[str, Any]) -> Classifier:
    if choice.overrides:
        raise UsageError(
            f"{choice.label}: recipe fields are for training", next_step="give them as options"
        )
    size = choice.entry.info.get("size")
    model: Classifier = choice.entry.load()(**({"size": size} if size else {}) | options)
    return model
