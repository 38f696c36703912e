"""Training recipes as data: defaults here, per suite and model family in `[recipe.<family>]`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ifambench.errors import UsageError
from ifambench.suites.spec import Suite

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

_CHOICES = {"init": ("pretrained", "scratch"), "prototype_init": ("random", "rim")}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Images per step.
        lr: Peak learning rate of the classifier (iFAM: of stage 2).
        weight_decay: AdamW's decoupled weight decay.
        warmup: Share of the steps with linear warm-up; cosine to 0 afterwards.
        clip: Largest norm of the gradient.
        jitter: Half-width of the random scale of each colour channel; the shift is 3/4 of it.
        init: `pretrained` or `scratch`: the start of the classifier (iFAM: of stage 2).
        lr_stage_1: iFAM: peak learning rate of prototypes, modulation and part classifier.
        num_parts: iFAM: K.
        prototype_init: iFAM: `random` as published, or `rim` (`ifambench.train.prototypes`).
        part_dropout: iFAM: probability of dropping a part, in both stages.
        gumbel: iFAM: whether training adds Gumbel noise to part scores and mask.
        losses: iFAM: weight of every loss; `rim` is ours, the others are published.
        group_step: GroupDRO: step size of the group weights.
        group_balanced: GroupDRO: draw training images evenly over the groups.
        strengths: DFR: inverse L1 strengths to choose from on half of the validation split.
        retrainings: DFR: number of averaged group-balanced retrainings.
    """

    epochs: int = 8
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip: float = 2.0
    jitter: float = 0.2
    init: str = "scratch"
    lr_stage_1: float = 3e-3
    num_parts: int = 4
    prototype_init: str = "random"
    part_dropout: float = 0.3
    gumbel: bool = True
    losses: dict[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))
    group_step: float = 0.01
    group_balanced: bool = True
    strengths: tuple[float, ...] = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
    retrainings: int = 20

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run record."""
        return asdict(self) | {"strengths": list(self.strengths)}

    def architecture(self) -> dict[str, Any]:
        """The options that shape the model."""
        names = ("num_parts", "part_dropout", "gumbel")
        return {name: getattr(self, name) for name in names}


def recipe_for(suite: Suite, family: str) -> Recipe:
    """The recipe of a model family on a suite.

    A family with a method, such as `vit+groupdro`, starts from the recipe of its base family.

    Raises:
        UsageError: If the suite file sets an unknown key or loss, or a value of the wrong type.
    """
    base, plus, _ = family.partition("+")
    recipe = _update(Recipe(), suite, base)
    return _update(recipe, suite, family) if plus else recipe


def _update(recipe: Recipe, suite: Suite, family: str) -> Recipe:
    given = dict(suite.recipe.get(family, {}))
    where = f"suites/{suite.id}/suite.toml: recipe.{family}"
    _refuse_unknown(given, {f.name for f in fields(Recipe)}, where)
    losses = given.pop("losses", {})
    _refuse_unknown(losses, set(recipe.losses), f"{where}.losses")
    if "strengths" in given:
        given["strengths"] = tuple(given["strengths"])
    for name, value in given.items():
        _check_type(name, value, getattr(recipe, name), where)
        if name in _CHOICES and value not in _CHOICES[name]:
            raise UsageError(
                f'{name} cannot be "{value}"', where=f"{where}.{name}", choices=_CHOICES[name]
            )
    changed = replace(recipe, **given, losses=recipe.losses | losses)
    _check_bounds(changed, where)
    return changed


def _refuse_unknown(given: dict[str, Any], known: set[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f'unknown key "{name}"', where=where, choices=sorted(known))


def _check_bounds(recipe: Recipe, where: str) -> None:
    positive = ("epochs", "batch_size", "lr", "lr_stage_1", "clip", "num_parts", "retrainings")
    for name in positive:
        if getattr(recipe, name) <= 0:
            raise UsageError(f"{name} must be positive", where=f"{where}.{name}")
    for name in ("warmup", "part_dropout", "jitter"):
        if not 0 <= getattr(recipe, name) < 1:
            raise UsageError(f"{name} must be in [0, 1)", where=f"{where}.{name}")
    if not recipe.strengths or min(recipe.strengths) <= 0:
        raise UsageError("strengths must be positive numbers", where=f"{where}.strengths")


def _check_type(name: str, value: object, like: object, where: str) -> None:
    wanted = (int, float) if isinstance(like, float) else type(like)
    if not isinstance(value, wanted) or (isinstance(value, bool) != isinstance(like, bool)):
        raise UsageError(
            f"{name} must be {type(like).__name__}, is {value!r}", where=f"{where}.{name}"
        )
