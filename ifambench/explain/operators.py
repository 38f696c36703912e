"""What "removed" means for a patch: the operators of a curve, as data.

An operator answers one question: what does the model see when only a set of patches is left? The
two curves of an explainer use the same operator, and curves of different operators are never mixed:
they ask different questions.

- `mean`, `black`, `blur`, `noise` put other pixels in the place of a patch (`fills.py`). The model
  is run on the filled image as on any other, its first stage and its true masks included, so every
  model has them. Fills make edges and images that no model was trained on.
- `drop` leaves the patch tokens out of the sequence. There are no edges, but fewer tokens than in
  training. With nothing left only the prefix tokens remain; a head that averages the patches then
  reads a vector of zeros. A model that is shown the true object gets the patches that are both
  kept and on the object.
- `model` is for models that choose their own patches: the kept patches *replace* the model's own
  mask and go to its second stage. The score is then a function of the mask, its intact end is the
  second stage with all patches (not the prediction, whose mask is smaller), and no input is out
  of the model's own way of masking.

`drop` is refused for a model that chooses its own patches. What its first stage would see of an
image with missing patches is not settled by dropping tokens in the second, so the same numbers as
`model` would go by a name that promises something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from ifambench.errors import UsageError, unknown_name
from ifambench.models.base import Classifier
from ifambench.suites.spec import Operator

OPERATORS: dict[str, str] = {
    "mean": "0 after normalisation, the mean colour of the model's training data",
    "blur": "the patch of a Gaussian-blurred copy of the image, see `fills.BLUR`",
    "noise": "standard normal noise after normalisation, one draw per image",
    "black": "0 before normalisation",
    "drop": "the token is left out of the sequence",
    "model": "the kept patches are given to a two-stage model in place of its own mask",
}
"""Name -> what a removed patch becomes."""

FILLS = ("mean", "blur", "noise", "black")
"""Operators that change pixels; any model has them."""

assert tuple(OPERATORS) == get_args(Operator)


def operators_of(model: Classifier) -> list[str]:
    """The operators that the model can be measured with."""
    return [name for name in OPERATORS if not _refusal(name, model)]


def check_operator(name: str, model: Classifier) -> None:
    """Refuse an operator that the model cannot be measured with.

    Raises:
        UsageError: If there is no such operator, or saying why the model does not have it.
    """
    if name not in OPERATORS:
        raise unknown_name("operator", name, OPERATORS, list_command="ifambench run --help")
    reason = _refusal(name, model)
    if reason:
        raise UsageError(
            f'operator "{name}": {reason}',
            where="--operator",
            choices=operators_of(model),
            next_step="choose one of these operators for this model",
        )


def label_of(explainer: str, operator: str, headline: str) -> str:
    """The name of an explainer in tables: under another operator than the headline it says which.

    >>> label_of("grad-cam", "mean", "mean"), label_of("grad-cam", "drop", "mean")
    ('grad-cam', 'grad-cam@drop')
    """
    return explainer if operator == headline else f"{explainer}@{operator}"


def labels_of(explainers: Sequence[str], operators: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Label -> (explainer, operator), those of the headline (the first operator) first."""
    return {
        label_of(name, operator, operators[0]): (name, operator)
        for operator in operators
        for name in explainers
    }


def _refusal(name: str, model: Classifier) -> str:
    """Why the model cannot be measured with an operator; empty where it can."""
    if name in FILLS:
        return ""
    selects = "selection" in model.capabilities
    if "tokens" not in model.capabilities:
        return "the model cannot run on some of its patches"
    if name == "drop" and selects:
        return 'the model chooses its own patches; "model" gives it the kept ones instead'
    if name == "model" and not selects:
        return 'the model has no mask of its own; "drop" leaves patches out'
    return ""
