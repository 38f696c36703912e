"""What a run request means for explanations: explainers, operators, images, steps, their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ifambench.errors import UsageError
from ifambench.explain.base import (
    EXPLAINER_REGISTRY,
    check_needs,
    default_explainers,
)
from ifambench.explain.images import Precision
from ifambench.explain.operators import check_operator, labels_of
from ifambench.explain.ranking import PROTOCOL
from ifambench.metrics.deletion import FLOOR
from ifambench.records.key import digest
from ifambench.request import RunRequest
from ifambench.suites.spec import Explain, Operator, Protocol

if TYPE_CHECKING:
    from ifambench.models.base import Classifier

ALL = "all"
"""In place of a number of images or of the name of an explainer."""

PER_PATCH = "patch"
"""In place of a number of steps: one step per patch."""

EVERY_IMAGE = 2**31 - 1
"""The number of images behind `ALL`; there are never more."""

_SETTINGS_OF_1 = ("images", "steps", "operator", "target", "random_draws", "seed")
"""What every digest of explanations holds; later settings join it where they are not the default,
so that the digest of a request which does not use them never changes."""


@dataclass(frozen=True)
class ExplainPlan:
    """What is explained, and how.

    Attributes:
        settings: The protocol's settings with the request's numbers; the operator is the headline.
        explainers: Names, the floor included; none when nothing is explained.
        operators: The headline first.
        precision: Of the forward passes behind the curves: `32` or `bf16`.
        battery: Images that the tests of the model's own mask are run on, or 0.
        sanity: Images that the checks of the explainers are run on, or 0.
        mask_samples: Noisy masks per image, or 0.
        left_out: Explainers that `all` does not include for this model and suite, with the reason.
    """

    settings: Explain
    explainers: tuple[str, ...] = ()
    operators: tuple[Operator, ...] = ("mean",)
    precision: Precision = "32"
    battery: int = 0
    sanity: int = 0
    mask_samples: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The names in tables: an explainer under another operator than the headline has two."""
        return list(labels_of(self.explainers, self.operators)) if self.explainers else []

    def key(self) -> str:
        """Digest of everything here that can change a number."""
        more = {
            **({"operators": list(self.operators)} if len(self.operators) > 1 else {}),
            **({"battery": self.battery} if self.battery else {}),
            **({"sanity": self.sanity} if self.sanity else {}),
            **({"mask_samples": self.mask_samples} if self.mask_samples else {}),
        }
        return digest([self._facts(), sorted(self.explainers), *([more] if more else [])])

    def settings_key(self) -> str:
        """As `key`, without what only decides how much is measured.

        One measurement does not depend on which other ones there are.
        """
        facts = {name: value for name, value in self._facts().items() if name != "images"}
        return digest(facts)

    def protocol(self) -> dict[str, Any]:
        """The headline as it stands in the record."""
        facts = self._facts()
        images = ALL if facts["images"] == EVERY_IMAGE else facts["images"]
        return {"protocol": PROTOCOL, **facts, "images": images}

    def _facts(self) -> dict[str, Any]:
        given = self.settings.model_dump(mode="json")
        usual = {name: item.default for name, item in Explain.model_fields.items()}
        facts = {
            name: value
            for name, value in given.items()
            if name in _SETTINGS_OF_1 or value != usual[name]
        }
        return facts | ({} if self.precision == "32" else {"precision": self.precision})


def explain_plan(
    model: Classifier, protocol: Protocol, request: RunRequest, *, masks: bool
) -> ExplainPlan:
    """Check what a request says about explanations against the model and the data.

    Args:
        model: The model to explain.
        protocol: Its settings hold where the request has none.
        request: As asked.
        masks: Whether the suite has true masks.

    Raises:
        UsageError: If an explainer or operator asks for more than the model or the data can do, or
            nothing is explained and yet something about explanations is asked for.
    """
    settings = _settings(model, protocol, request)
    for name in request.operators or (settings.operator,):
        check_operator(name, model)
    operators = cast(tuple[Operator, ...], tuple(dict.fromkeys(request.operators)))
    explainers, left_out = _explainers(model, settings, request, masks)
    _check_extra(model, settings, request)
    return ExplainPlan(
        settings=settings,
        explainers=explainers,
        operators=operators or (settings.operator,),
        precision=cast(Precision, request.explain_precision or "32"),
        battery=_number(request.battery),
        sanity=_number(request.sanity),
        mask_samples=request.mask_samples,
        left_out=left_out,
    )


def choose_explainers(
    asked: Sequence[str], model: Classifier, *, masks: bool
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The explainers to measure, and those that `all` leaves out, with the reason.

    Args:
        asked: Names, `all` among them; none for the model's own. The floor is always added.
        model: What is to be explained.
        masks: Whether true masks are at hand.

    Raises:
        UsageError: If there is no such explainer, or a named one needs more than there is.
    """
    named = [name for name in asked if name != ALL]
    for name in named:
        if error := _lack(name, model, masks):
            raise error
    left_out: dict[str, str] = {}
    if ALL in asked:
        for name in EXPLAINER_REGISTRY.names():
            error = _lack(name, model, masks)
            if error is None:
                named.append(name)
            else:  # without its name: several have the same reason
                left_out[name] = error.what.removeprefix(f'explainer "{name}" ')
    return tuple(dict.fromkeys([*(named or default_explainers(model)), FLOOR])), left_out


def has_own_mask(model: Classifier) -> bool:
    """Whether the battery has anything to test: a mask that decides what the model sees."""
    return bool({"selection", "true_masks"} & set(model.capabilities))


def _settings(model: Classifier, protocol: Protocol, request: RunRequest) -> Explain:
    h, w = model.patch_grid
    given = {
        "images": None if request.images is None else _number(request.images),
        "steps": h * w if request.steps == PER_PATCH else request.steps,
        "operator": next(iter(request.operators), None),
        "target": request.target,
    }
    known = {name: value for name, value in given.items() if value is not None}
    return protocol.explain.model_copy(update=known)


def _number(images: int | str) -> int:
    return EVERY_IMAGE if images == ALL else int(images)


def _explainers(
    model: Classifier, settings: Explain, request: RunRequest, masks: bool
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The explainers to measure, and those that `all` leaves out; none where no image is chosen."""
    if settings.images:
        return choose_explainers(request.explainers, model, masks=masks)
    if request.explainers:
        raise UsageError(
            "no image is explained, so no explainer can be measured",
            where="--explainer",
            next_step="add --images N",
        )
    return (), {}


def _lack(name: str, model: Classifier, masks: bool) -> UsageError | None:
    """What an explainer lacks here, or None."""
    try:
        check_needs(name, model)
    except UsageError as error:
        return error
    if masks or not EXPLAINER_REGISTRY.entry(name).info.get("needs_masks"):
        return None
    return UsageError(
        f'explainer "{name}" needs true masks, and there are none',
        where="--explainer",
        next_step="leave it out",
    )


def _check_extra(model: Classifier, settings: Explain, request: RunRequest) -> None:
    """Refuse what can have no effect or no result."""
    if request.battery and not has_own_mask(model):
        raise UsageError(
            f"{request.model} has no mask of its own to test",
            where="--battery",
            choices=["a model that selects patches, such as ifam-vit-b, gradcam-vit-b, late-vit-b"],
        )
    asked: dict[str, Sequence[str] | str | int | None] = {
        "--operator": request.operators,
        "--target": request.target,
        "--explain-precision": request.explain_precision,
        "--sanity": request.sanity,
    }
    useless = next((option for option, value in asked.items() if value), None)
    if settings.images == 0 and useless:
        raise UsageError(
            "no image is explained, so this has no effect",
            where=useless,
            next_step="add --images N",
        )
