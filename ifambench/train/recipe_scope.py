"""Which training fields of a recipe mean something for which models and methods.

A section of a suite file may set any field, because models share it. A field in a model's name is
meant for this one model: where it would change nothing it is refused, so that no label promises
what did not happen. (Fields that shape the architecture are checked against its builder.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ifambench.errors import UsageError

if TYPE_CHECKING:
    from ifambench.train.recipes import Recipe

_OF_STAGE_1 = (
    *("lr_stage_1", "train_stage_1_tokens", "prototype_init", "rim_quantile"),
    *("compat", "losses"),
)
_WITHOUT_STAGE_1 = ("vit", "oracle")

_METHOD_OF = {
    "group_step": "groupdro",
    "group_balanced": "groupdro",
    "jtt_epochs": "jtt",
    "jtt_weight": "jtt",
    "mixup_alpha": "mixup",
    "strengths": "dfr",
    "retrainings": "dfr",
    "probe_strengths": "probe",
}
"""Fields that one training method reads alone."""

_EVEN_OVER_GROUPS = ("rwg", "groupdro")
_ONE_PASS = "groupdro"
"""Moves its group weights once per batch, which has to be one pass for that."""


def refuse_unused(fields: Iterable[str], family: str, where: str) -> None:
    """Refuse fields of a model's name that its training does not read.

    Args:
        fields: Their names, `losses.entropy` for an entry of a table.
        family: Model family, with `+method` where the method is not the model's own.
        where: The model's name, for the error.

    Raises:
        UsageError: Naming the first one and whose it is.
    """
    own, _, method = family.partition("+")
    for field in (name.partition(".")[0] for name in fields):
        if field in _OF_STAGE_1 and own in _WITHOUT_STAGE_1:
            raise _unused(field, "models with parts, such as ifam-vit-b", where)
        if _METHOD_OF.get(field, method) != method:
            raise _unused(field, f"method {_METHOD_OF[field]}", where)


def refuse_twice_balanced(recipe: Recipe, family: str, where: str) -> None:
    """Refuse class weights on top of a method that evens out the groups, hence the classes.

    Raises:
        UsageError: Naming the method.
    """
    method = family.partition("+")[2]
    if recipe.class_balanced and method in _EVEN_OVER_GROUPS:
        raise UsageError(
            f"class_balanced would balance twice: {method} evens out groups, and so classes",
            where=where,
            next_step=f'class_balanced = false in [recipe."{family}"], or in the model name',
        )


def refuse_split_batches(recipe: Recipe, family: str, where: str) -> None:
    """Refuse gradient accumulation for a method that is not the mean over the passes.

    Raises:
        UsageError: Naming the method.
    """
    if recipe.accumulate > 1 and family.partition("+")[2] == _ONE_PASS:
        raise UsageError(
            f"{_ONE_PASS} moves its group weights once per batch, so accumulate must be 1, "
            f"is {recipe.accumulate}",
            where=where,
            next_step="accumulate=1 in the model name; a smaller batch_size takes less memory",
        )


def _unused(field: str, whose: str, where: str) -> UsageError:
    return UsageError(f"{field} changes nothing here, it belongs to {whose}", where=where)
