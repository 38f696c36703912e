"""`ifambench.load_model`: a model by its name, for use from Python."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ifambench.errors import UsageError
from ifambench.models.backbones import find_backbone, load_backbone
from ifambench.models.base import Classifier
from ifambench.models.catalog import ModelChoice, builder_options, choose_model
from ifambench.models.checkpoints import build_given
from ifambench.models.ifam import Ifam
from ifambench.models.masks import check_mask_gradient

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
        name: Published (`ifam-vit-b.waterbirds-k8`) or given weights (`ckpt:PATH`, of a file, a
            run or another folder; `hf-hub:OWNER/REPO`; `timm:ARCHITECTURE.TAG`); or an
            architecture (`vit-b`), whose head is not trained.
        num_classes: C; an architecture needs it, given weights have it.
        pretrained: For an architecture: fill its backbones from the weights its training starts
            from, or from the backbone of that name.
        **options: For an architecture: `image_size`, `num_parts`, `mask_gradient`, ...; for given
            weights `image_size` and `num_parts`, which must be theirs, and `mask_gradient`: no
            snapshot tells whether it was trained with `soft` masks.

    Raises:
        UsageError: If there is no such model, or an option does not fit.
        EnvironmentProblem: If weights are missing or damaged.
    """
    choice = choose_model(name)
    if choice.source is not None:
        asked = options | ({"pretrained": pretrained} if pretrained else {})
        return _given(choice.source, num_classes, asked)
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


def _given(source: str, num_classes: int | None, options: dict[str, Any]) -> Classifier:
    _refuse_unknown(options, ["image_size", "num_parts", "mask_gradient"], source)
    model = build_given(num_classes, source, image_size=options.get("image_size"))
    stage_1 = getattr(model, "stage_1", None)
    found, wanted = getattr(stage_1, "num_parts", None), options.get("num_parts")
    if wanted not in (None, found):
        raise UsageError(
            f"the weights have {found} parts, not {wanted}"
            if found
            else "the weights are of a model without parts",
            where=source,
        )
    if "mask_gradient" in options:
        _set_mask_gradient(model, options["mask_gradient"], source)
    return model


def _set_mask_gradient(model: Classifier, name: str, source: str) -> None:
    if not isinstance(model, Ifam):
        raise UsageError("the weights are of no two-stage model", where=source)
    model.mask_gradient = check_mask_gradient(name)


def _refuse_unknown(options: dict[str, Any], known: Collection[str], name: str) -> None:
    for option in options:
        if option not in known:
            raise UsageError(f"{name} has no option {option}", choices=sorted(known))


def _build(choice: ModelChoice, options: dict[str, Any]) -> Classifier:
    known = builder_options(choice.entry)
    if known is not None:
        _refuse_unknown(options, known | {"num_classes"}, choice.entry.name)
    if options["num_classes"] < 1:
        raise UsageError(f"num_classes is {options['num_classes']}", choices=["1 or more"])
    if choice.overrides:
        raise UsageError(
            f"{choice.label}: recipe fields are for training", next_step="give them as options"
        )
    size = choice.entry.info.get("size")
    model: Classifier = choice.entry.load()(**({"size": size} if size else {}) | options)
    return model
