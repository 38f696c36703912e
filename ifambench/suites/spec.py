"""The schema of `suite.toml`: what a suite is, as data.

One file describes one suite: where the images come from, what the label and the attributes are,
the *named* groups, the counts that must be found, the variants, the evaluation protocols and the
training recipes. Unknown keys are errors. No suite file can name code to run.

The images come from exactly one of `[generation]` (drawn from a seed) and `[source]` (files on
disk, described in `suites/source.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ifambench.errors import unknown_name
from ifambench.suites.checks import check_names, check_suite, named_groups, selectable
from ifambench.suites.download import Download
from ifambench.suites.labels import label_set
from ifambench.suites.parts import Closed, Column, Inside, Name, Split
from ifambench.suites.source import Source
from ifambench.suites.variant import Pool, Variant

ORIGINAL = "original"
GENERATED_VARIANTS = (ORIGINAL, "mixed_same", "mixed_rand", "only_fg", "only_bg", "no_fg")
"""Variants that every generated suite has."""
Kind = Literal[
    "group_shift",
    "bg_swap",
    "ood_pair",
    "ablation",
    "spurious_test",
    "part_synthetic",
    "plain",
]
Status = Literal["ok", "manual", "gated", "partial", "unobtainable"]
Selection = Literal[
    "none",
    "last",
    "best_val_accuracy",
    "best_val_worst_group_accuracy",
    "best_val_worst_class_accuracy",
]


Operator = Literal["mean", "blur", "noise", "black", "drop", "model"]
"""What a removed patch becomes, see `ifambench/explain/operators.py`."""
Target = Literal["predicted", "label"]


def _listed_labels(value: Any) -> Any:
    return list(label_set(value)) if isinstance(value, str) else value


class Generation(Closed):
    """A suite that is drawn from a seed instead of downloaded."""

    generator: Literal["waterdigits"]
    seed: int = Field(ge=0)
    params: dict[str, Any] = Field(default_factory=dict)
    fingerprint: dict[Split, str] = Field(default_factory=dict)
    """sha256 of ids, labels, attributes, masks and pixels per split, at the default size."""


class Attribute(Closed):
    """A property of the image that may be spuriously correlated with the label."""

    values: list[str] = Field(min_length=1)
    semantics: str = ""
    origin: Literal["annotated", "derived", "composed", ""] = ""
    sensitive: bool = False


class Groups(Closed):
    """Named cells of label x attributes, the last one fastest.

    `by` lists `y` and attributes; nothing at all makes one group, `all`. Names that are not given
    are made of the values.
    """

    by: list[str]
    names: list[str] = Field(default_factory=list)
    minority: list[str] = Field(default_factory=list)


class Expected(Closed):
    """Counts that must be found in a split at the default size.

    A group of 0 must be empty, one of -1 must not be, but its number is not known in advance.
    """

    n: int = Field(ge=0)
    """0 where the number is not known in advance."""
    groups: list[Annotated[int, Field(ge=-1)]]


class Explain(Closed):
    """How explanations are measured (protocol `patch-curve/1`)."""

    images: int = Field(ge=0)
    """Explained images, drawn evenly over the groups from `seed`; with 0 nothing is explained."""
    steps: int = Field(gt=0)
    operator: Operator = "mean"
    """What a removed patch becomes in the headline curves: `mean` is 0 after normalisation."""
    target: Target = "predicted"
    """The class whose score is followed: the one predicted for the clean image, or the label."""
    random_draws: int = Field(default=5, gt=0)
    seed: int = Field(default=0, ge=0)


class Protocol(Closed):
    """How a model is trained, selected and evaluated on the suite."""

    train_split: Split = "train"
    select_split: Split | None = "val"
    """Validation images; None in suites that have none."""
    eval_split: Split = "test"
    selection: Selection
    """Which epoch is evaluated: the last one, or the best one on `select_split`. `none`: the suite
    has no training images, only given weights can be evaluated."""
    primary: str = "worst_group_accuracy"
    """The metric that ranks."""
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Metrics that only some suites have, with their parameters."""
    variants: list[str]
    label_scope: Literal["all", "members"] = "all"
    """With `[imagenet]`: whether a prediction outside of the member classes is an error, or the
    largest logit among the member classes counts."""
    ranked: bool = True
    """Whether the results may be ranked."""
    notes: str = ""
    explain: Explain

    @model_validator(mode="after")
    def _no_test_selection(self) -> Self:
        if self.selection != "none" and self.eval_split in (self.train_split, self.select_split):
            raise ValueError("eval_split must not be used for training or selection")
        if ORIGINAL not in self.variants:
            raise ValueError("variants must contain 'original'")
        return self


class Reference(Closed):
    """A published number, with its source."""

    model: str
    metric: str
    value: float
    source: str
    selection: str = ""
    protocol: str = ""
    spread: float | None = None
    spread_kind: str = ""
    mark: Literal["verified", "secondary", "uncertain"]


class Suite(Closed):
    """A suite file; the sections are described at their classes."""

    schema_: Literal[1] = Field(alias="schema")
    id: Name
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    title: str
    summary: str
    kind: Kind
    status: Status = "ok"
    """Whether the data can be had: freely, by hand, with an account, in part, not at all."""
    status_note: str = ""
    licence: str
    citation: str = ""
    tags: list[str] = Field(default_factory=list)
    default_protocol: str = "standard"
    image_size: int = Field(gt=0)
    whole_images: bool = False
    """The images are cropped already: they are shown whole, whatever the model's crop says."""
    labels: Annotated[list[str], BeforeValidator(_listed_labels)] = Field(min_length=2)
    """Class names in the order of their indices, or the name of a list (`suites/labels.py`)."""
    attributes: dict[Column, Attribute] = Field(default_factory=dict)
    groups: Groups
    generation: Generation | None = None
    source: Source | None = None
    download: list[Download] = Field(default_factory=list)
    variant: list[Variant] = Field(default_factory=list)
    pool: list[Pool] = Field(default_factory=list)
    imagenet: dict[str, list[str]] = Field(default_factory=dict)
    """Label -> ImageNet-1k class indices (`"151-268"` or `"7"`), for classifiers of 1,000."""
    imagenet_file: Inside | None = None
    """Instead of `[imagenet]`: a table in the suite's folder, see `data/imagenet_map.py`."""
    splits: dict[Split, Annotated[int, Field(ge=0)]]
    """Images per split; 0 where the number is not known before the data are there."""
    expected: dict[Split, Expected] = Field(default_factory=dict)
    protocol: dict[Name, Protocol]
    recipe: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Training recipe per model family; keys are fields of `ifambench.train.recipes.Recipe`."""
    reference: list[Reference] = Field(default_factory=list)
    known_issues: list[str] = Field(default_factory=list)

    @property
    def major(self) -> int:
        """Major version: results of different major versions are not comparable."""
        return int(self.version.split(".")[0])

    @property
    def origin(self) -> Generation | Source:
        """Where the images come from; both kinds have a `fingerprint`."""
        origin = self.generation or self.source
        assert origin is not None  # checks.one_origin
        return origin

    @property
    def has_training(self) -> bool:
        """Whether there are images to train on."""
        return "train" in self.splits

    def group_of(self, label: str, attributes: Mapping[str, str]) -> str:
        """The group of an image, from the names of its label and its attributes."""
        cell = 0
        for name in self.groups.by:
            values = self.values_of(name)
            cell = cell * len(values) + values.index(label if name == "y" else attributes[name])
        return self.groups.names[cell]

    def groups_in(self, split: str) -> tuple[str, ...]:
        """The groups that a split holds: all declared ones but those that `expected` empties."""
        counts = self.expected[split].groups if split in self.expected else None
        names = self.groups.names
        if counts is None:
            return tuple(names)
        return tuple(name for name, n in zip(names, counts, strict=True) if n)

    def values_of(self, name: str) -> list[str]:
        """The values of `y` or of an attribute."""
        return self.labels if name == "y" else self.attributes[name].values

    def variants_in(self, split: str) -> list[str]:
        """Names of the variants that a split has, the original first."""
        if self.generation is not None:
            evaluated = {protocol.eval_split for protocol in self.protocol.values()}
            return list(GENERATED_VARIANTS if split in evaluated else GENERATED_VARIANTS[:1])
        return [ORIGINAL, *(item.id for item in self.variant if split in item.splits)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_names(self)
        object.__setattr__(self, "groups", named_groups(self))
        object.__setattr__(self, "protocol", selectable(self))
        check_suite(self)
        return self


def protocol_of(suite: Suite, name: str | None) -> tuple[str, Protocol]:
    """The named protocol of a suite, or its default one.

    Raises:
        UsageError: If the suite has no such protocol.
    """
    chosen = name or suite.default_protocol
    if chosen not in suite.protocol:
        raise unknown_name(
            "protocol", chosen, suite.protocol, list_command=f"ifambench show {suite.id}"
        )
    return chosen, suite.protocol[chosen]
