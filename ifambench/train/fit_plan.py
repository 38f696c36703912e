"""What shapes the weights of a model, and whose weights it starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ifambench.data.manifest import SuiteData
from ifambench.models.backbones import Backbone
from ifambench.models.catalog import ModelChoice, choose_model, trained_as
from ifambench.records.key import code_digest, digest
from ifambench.suites.spec import Protocol, Suite
from ifambench.train.recipes import Recipe, recipe_for

_OF_THE_LAST_LAYER = frozenset({"strengths", "retrainings"})
_OF_THE_CHOICE_OF_PATCHES = frozenset({"keep_fraction"})
"""Recipe fields that do not touch the weights that DFR, or a model that explains first, takes
over."""


@dataclass(frozen=True)
class FitPlan:
    """Everything that shapes the weights.

    Attributes:
        choice: Model and method.
        recipe: How it is trained.
        protocol: Which splits are for training and selection, and which epoch is kept.
        backbone: The pretrained backbone, or None when the recipe uses none.
        seed: Training seed.
        compute: Device type, threads and torch version.
    """

    choice: ModelChoice
    recipe: Recipe
    protocol: Protocol
    backbone: Backbone | None
    seed: int
    compute: str

    def key(self, data: SuiteData) -> str:
        """Digest of the plan and the data; equal keys give equal weights on one machine."""
        base = self.base(data.suite)
        above = None if base is None else base.key(data)
        return digest(self._parts(data) | {"base": above, "compute": self.compute})

    def key_anywhere(self, data: SuiteData) -> str:
        """The same but for the machine: equal up to rounding, and what follows from it."""
        base = self.base(data.suite)
        above = None if base is None else base.key_anywhere(data)
        return digest(self._parts(data) | {"base": above})

    def _parts(self, data: SuiteData) -> dict[str, Any]:
        return {
            "model": self.choice.label,
            "recipe": self.recipe.as_dict(),
            "splits": [self.protocol.train_split, self.protocol.select_split],
            "selection": self.protocol.selection,
            "backbone": None if self.backbone is None else self.backbone.sha256,
            "seed": self.seed,
            "data": data.digest,
            "code": code_digest(("data", "models", "train")),
        }

    def base(self, suite: Suite) -> FitPlan | None:
        """The plan of the model whose trained weights this one takes over, if it does.

        DFR takes over those of its model trained by ERM; a model that is `trained_as` another
        those of that other one, trained by the same method.
        """
        label = _base_label(self.choice)
        if label is None:
            return None
        choice = choose_model(label)
        recipe = recipe_for(suite, choice.family, choice.base_label, choice.overrides)
        mine = self.choice
        own = recipe_for(suite, mine.family, mine.base_label, mine.overrides)
        if self.recipe.precision != own.precision:  # asked for beside the recipe
            recipe = replace(recipe, precision=self.recipe.precision)
        return replace(self, choice=choice, recipe=recipe)

    def images_seen(self, images: int) -> int:
        """Images that training by gradient passes over, for that many training images."""
        if (
            self.choice.source is not None
            or self.choice.method == "probe"
            or _base_label(self.choice)
        ):
            return 0
        first = self.recipe.jtt_epochs if self.choice.method == "jtt" else 0
        return images * (first + self.recipe.epochs)

    def root(self, suite: Suite) -> FitPlan:
        """The plan of the weights that are trained by gradient."""
        base = self.base(suite)
        return self if base is None else base.root(suite)


def _base_label(choice: ModelChoice) -> str | None:
    name, later = trained_as(choice.base_label), _OF_THE_CHOICE_OF_PATCHES
    if name is None and choice.method == "dfr":
        name, later = choice.entry.name, _OF_THE_LAST_LAYER
    if name is None:
        return None
    kept = {k: v for k, v in sorted(choice.overrides.items()) if k not in later}
    pairs = ",".join(f"{key}={value}" for key, value in kept.items())
    return f"{name}@{pairs}" if pairs else name
