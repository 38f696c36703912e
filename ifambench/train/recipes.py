"""Training recipes as data.

A recipe is built up from the defaults here, then, each if the suite file has it, from
`[recipe.<family>]`, `[recipe."<family>+<method>"]`, `[recipe.<model>]`,
`[recipe."<model>+<method>"]`, and last from what the model name itself gives after `@`. A model
that takes over the weights of another one reads that one's sections before its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ifambench.models.catalog import trained_as
from ifambench.suites.spec import Suite
from ifambench.train.recipe_scope import (
    refuse_split_batches,
    refuse_twice_balanced,
    refuse_unused,
)
from ifambench.train.recipe_values import check_bounds, checked, parsed, refuse_unknown

LOSS_WEIGHTS = {
    "class_stage_1": 1.0,
    "class_stage_2": 1.0,
    "presence": 1.0,
    "enforced_presence": 2.0,
    "total_variation": 1.0,
    "entropy": 1.0,
    "orthogonality": 1.0,
    "equivariance": 1.0,
    "rim": 0.0,
}

#: The fields that shape the model, for those of its builders that take them.
ARCHITECTURE = (
    *("num_parts", "part_dropout", "mask_part_dropout", "gumbel", "temperature"),
    *("mask_gradient", "mask_erosion", "mask_coverage", "keep_fraction"),
)

LR_FACTORS = {"tokens": 1.0, "prototypes": 1.0, "modulation": 1.0, "heads": 1.0}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Images per optimizer step, over all devices and accumulated passes.
        accumulate: Passes whose gradients are added up to one optimizer step.
        lr: Peak learning rate of the classifier (iFAM: of stage 2).
        lr_batch: Batch size that the learning rates are for; they are multiplied by
            sqrt(batch_size / lr_batch). 0: as given.
        lr_factors: Multiplied on top: `tokens` (class and register tokens, positions),
            `prototypes`, `modulation`, `heads` (class heads and the norm before them).
        weight_decay: AdamW's decoupled weight decay.
        weight_decay_rule: `plain`, or `normalised`: times 1 / sqrt(optimizer steps).
        decay: `all` tensors, or `matrices`: none on vectors, tokens, prototypes and modulation.
        schedule: Cosine to 0 per `step`, or per `epoch` as published.
        warmup: Share of the steps with linear warm-up.
        clip: Largest norm of the gradient.
        precision: `32`, `bf16` or `16`; the last two are mixed with 32.
        ema: Decay of the averaged weights that are kept at the end; 0: the last weights.
        augment: Random changes of the training images (`ifambench.train.augment`).
        crop_area: `crop`: least share of the area that is kept.
        jitter: Half-width of the random scale of each colour channel; the shift is 3/4 of it.
        class_balanced: Weigh the cross-entropy of an image by n / (C n_class), from class labels
            alone; not for RWG and GroupDRO, which even out the groups.
        init: `pretrained` or `scratch`: the start of the classifier (iFAM: of stage 2).
        image_size: Height and width of the input; 0: the suite's. Where the model's name does not
            give it, the model takes the nearest that its patches tile.
        source: Where the values come from.
        lr_stage_1: iFAM: peak learning rate of prototypes, modulation and part classifier.
        train_stage_1_tokens: iFAM: train tokens and positions of stage 1, as published.
        num_parts: iFAM: K.
        prototype_init: iFAM: `random` as published, or `rim` (`ifambench.train.prototypes`).
        rim_quantile: iFAM: `rim`: share of patches that start as foreground; 0: those beyond the
            mean.
        part_dropout: iFAM: probability of dropping a part before the classifier of stage 1.
        mask_part_dropout: iFAM: probability of dropping a part from the mask of stage 2.
        gumbel: iFAM: whether training adds Gumbel noise to part scores and mask.
        temperature: iFAM: of the softmax over part scores.
        mask_gradient: iFAM: how the loss of stage 2 reaches stage 1: `detached`,
            `straight-through` or `soft`.
        mask_erosion: iFAM: how many times the outermost patches of the mask are taken away
            (`ifambench.models.masks.erode`); 0 as published.
        compat: iFAM: `official` takes the orthogonality loss as the published code computes it.
        losses: iFAM: weight of every loss; `rim` is ours, the others are published.
        group_step: GroupDRO: step size of the group weights.
        group_balanced: GroupDRO: draw training images evenly over the groups.
        jtt_epochs: JTT: epochs of the first training, whose errors are found.
        jtt_weight: JTT: how much more often an image of the error set is drawn.
        mixup_alpha: Mixup: parameter of the Beta distribution of the mixing weight.
        strengths: DFR: inverse L1 strengths to choose from on half of the validation split.
        retrainings: DFR: number of averaged group-balanced retrainings.
        probe_strengths: Linear probe: inverse L2 strengths, chosen by validation accuracy.
        mask_coverage: True masks: share of a patch's pixels above which it belongs to the object.
        keep_fraction: Explain-then-predict: share of the patches kept; 0: Otsu's threshold.
    """

    epochs: int = 8
    batch_size: int = 64
    accumulate: int = 1
    lr: float = 1e-3
    lr_batch: int = 0
    lr_factors: dict[str, float] = field(default_factory=lambda: dict(LR_FACTORS))
    weight_decay: float = 0.05
    weight_decay_rule: str = "plain"
    decay: str = "all"
    schedule: str = "step"
    warmup: float = 0.1
    clip: float = 2.0
    precision: str = "32"
    ema: float = 0.0
    augment: str = "jitter"
    crop_area: float = 0.7
    jitter: float = 0.2
    class_balanced: bool = False
    init: str = "scratch"
    image_size: int = 0
    source: str = ""

    lr_stage_1: float = 3e-3
    train_stage_1_tokens: bool = False
    num_parts: int = 4
    prototype_init: str = "random"
    rim_quantile: float = 0.0
    part_dropout: float = 0.3
    mask_part_dropout: float = 0.3
    gumbel: bool = True
    temperature: float = 1.0
    mask_gradient: str = "detached"
    mask_erosion: int = 0
    compat: str = "none"
    losses: dict[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))

    group_step: float = 0.01
    group_balanced: bool = True
    jtt_epochs: int = 1
    jtt_weight: float = 50.0
    mixup_alpha: float = 0.2
    strengths: tuple[float, ...] = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
    retrainings: int = 20
    probe_strengths: tuple[float, ...] = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
    mask_coverage: float = 0.5
    keep_fraction: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run record."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def architecture(self) -> dict[str, Any]:
        """The options that shape the model."""
        size = ["image_size"] if self.image_size else []
        return {name: getattr(self, name) for name in [*ARCHITECTURE, *size]}

    def peak_lr(self, rate: float) -> float:
        """A learning rate of the recipe, scaled to its batch size."""
        return rate * math.sqrt(self.batch_size / self.lr_batch) if self.lr_batch else rate

    def effective_weight_decay(self, images: int) -> float:
        """The weight decay that the optimizer gets, for a number of training images."""
        if self.weight_decay_rule == "plain":
            return self.weight_decay
        steps = max(1, images // self.batch_size) * self.epochs
        return self.weight_decay * math.sqrt(1 / steps)


def recipe_for(
    suite: Suite, family: str, label: str = "", overrides: Mapping[str, str] | None = None
) -> Recipe:
    """The recipe of a model on a suite.

    Args:
        suite: Its file may set any field.
        family: Model family, with `+method` where the method is not the model's own.
        label: Model name, likewise; empty for the family's recipe.
        overrides: Fields as text, as in `ifam-vit-ti@num_parts=8`; last word.

    Raises:
        UsageError: If the suite file or the overrides set an unknown key or loss, or a value of the
            wrong type or out of bounds; if an override has no meaning for this model.
    """
    recipe = Recipe()
    for name in _sections(family, label):
        where = f"suites/{suite.id}/suite.toml: recipe.{name}"
        recipe = _updated(recipe, suite.recipe.get(name, {}), where)
    where = f"--model {label or family}@..."
    recipe = _updated(recipe, parsed(overrides or {}, recipe, where), where)
    refuse_unused(overrides or (), family, where)
    refuse_twice_balanced(recipe, family, f"--model {label or family}")
    refuse_split_batches(recipe, family, f"--model {label or family}")
    return recipe


def _sections(family: str, label: str) -> list[str]:
    """From the most general to the most special; equal names once."""
    given = [name for name in (family, trained_as(label), label) if name]
    names = [part for name in given for part in (name.partition("+")[0], name)]
    return list(dict.fromkeys(names))


def _updated(recipe: Recipe, given: Mapping[str, Any], where: str) -> Recipe:
    if not given:
        return recipe
    refuse_unknown(given, [f.name for f in fields(Recipe)], where)
    values = {
        name: checked(name, value, getattr(recipe, name), f"{where}.{name}")
        for name, value in given.items()
    }
    changed = replace(recipe, **values)
    check_bounds(changed, where)
    return changed
