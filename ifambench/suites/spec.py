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

from pydantic import Field, model_validator

from ifambench.errors import unknown_name
from ifambench.suites.source import Closed, Source, Split

Variant = Literal["original", "mixed_same", "mixed_rand", "only_fg", "only_bg", "no_fg"]
Selection = Literal["last", "best_val_accuracy", "best_val_worst_group_accuracy"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""A name that is safe as part of a path."""


class Generation(Closed):
    """A suite that is drawn from a seed instead of downloaded."""

    generator: Literal["waterdigits"]
    seed: int = Field(ge=0)
    params: dict[str, Any] = Field(default_factory=dict)
    fingerprint: dict[Split, str] = Field(default_factory=dict)
    """sha256 of ids, labels, attributes, masks and pixels per split, at the default size."""


class Attribute(Closed):
    """A property of the image that may be spuriously correlated with the label."""

    values: list[str]
    semantics: str = ""


class Groups(Closed):
    """Named cells of label x attribute, last attribute fastest."""

    by: list[str]
    names: list[str]
    minority: list[str] = Field(default_factory=list)


class Expected(Closed):
    """Counts that must be found in a split at the default size."""

    n: int
    groups: list[int]


class Explain(Closed):
    """How explanations are measured (protocol `patch-curve/1`)."""

    images: int = Field(ge=0)
    """Explained images, drawn evenly over the groups from `seed`; with 0 nothing is explained."""
    steps: int = Field(gt=0)
    operator: Literal["mean"] = "mean"
    """What replaces a removed patch: `mean` is 0 after normalisation."""
    target: Literal["predicted"] = "predicted"
    random_draws: int = Field(default=5, gt=0)
    seed: int = Field(default=0, ge=0)


class Protocol(Closed):
    """How a model is trained, selected and evaluated on the suite."""

    train_split: Split = "train"
    select_split: Split = "val"
    eval_split: Split = "test"
    selection: Selection
    """Which epoch is evaluated: the last one, or the best one on `select_split`."""
    primary: Literal["worst_group_accuracy"] = "worst_group_accuracy"
    variants: list[Variant]
    explain: Explain

    @model_validator(mode="after")
    def _no_test_selection(self) -> Self:
        if self.eval_split in (self.train_split, self.select_split):
            raise ValueError("eval_split must not be used for training or selection")
        if "original" not in self.variants:
            raise ValueError("variants must contain 'original'")
        return self


class Reference(Closed):
    """A published number, with its source."""

    model: str
    metric: str
    value: float
    source: str
    selection: str = ""
    mark: Literal["verified", "secondary", "uncertain"]


class Suite(Closed):
    """A suite file; the sections are described at their classes."""

    schema_: Literal[1] = Field(alias="schema")
    id: Name
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    title: str
    summary: str
    kind: Literal["group_shift", "bg_swap"]
    licence: str
    default_protocol: str = "standard"
    image_size: int = Field(gt=0)
    labels: list[str] = Field(min_length=2)
    attributes: dict[str, Attribute]
    groups: Groups
    generation: Generation | None = None
    source: Source | None = None
    splits: dict[Split, Annotated[int, Field(gt=0)]]
    expected: dict[Split, Expected]
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
        assert origin is not None  # _one_origin
        return origin

    def group_of(self, label: str, attributes: Mapping[str, str]) -> str:
        """The group of an image, from the names of its label and its attributes."""
        cell = self.labels.index(label)
        for name in self.groups.by[1:]:
            values = self.attributes[name].values
            cell = cell * len(values) + values.index(attributes[name])
        return self.groups.names[cell]

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.generation is None) == (self.source is None):
            raise ValueError("exactly one of [generation] and [source] must be there")
        if self.source is not None:
            self.source.check_names(
                self.labels,
                {name: item.values for name, item in self.attributes.items()},
                list(self.splits),
            )
            for name, protocol in self.protocol.items():
                if protocol.variants != ["original"]:
                    raise ValueError(
                        f"protocol.{name}.variants must be ['original']: background swaps of "
                        "suites read from files are not implemented yet"
                    )
        return self

    @model_validator(mode="after")
    def _groups_match(self) -> Self:
        if not self.groups.by or self.groups.by[0] != "y":
            raise ValueError("groups.by must start with 'y'")
        cells = len(self.labels)
        for name in self.groups.by[1:]:
            if name not in self.attributes:
                raise ValueError(f"groups.by names no attribute: {name!r}")
            cells *= len(self.attributes[name].values)
        if len(self.groups.names) != cells:
            raise ValueError(f"groups.names must have {cells} names, has {len(self.groups.names)}")
        unknown = set(self.groups.minority) - set(self.groups.names)
        if unknown:
            raise ValueError(f"groups.minority names no group: {sorted(unknown)}")
        if self.default_protocol not in self.protocol:
            raise ValueError(f"default_protocol {self.default_protocol!r} is not in [protocol]")
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
