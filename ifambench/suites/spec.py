"""The schema of `suite.toml`: what a suite is, as data.

One file describes one suite: where the images come from, what the label and the attributes are,
the *named* groups, the counts that must be found, the variants, the evaluation protocols and the
training recipes. Unknown keys are errors. No suite file can name code to run.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ifambench.errors import unknown_name

Variant = Literal["original", "mixed_same", "mixed_rand", "only_fg", "only_bg", "no_fg"]
Split = Annotated[str, Field(pattern=r"^(train|val|test)$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""A name that is safe as part of a path."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generation(_Closed):
    """A suite that is drawn from a seed instead of downloaded."""

    generator: Literal["waterdigits"]
    seed: int = Field(ge=0)
    params: dict[str, Any] = Field(default_factory=dict)
    fingerprint: dict[Split, str] = Field(default_factory=dict)
    """sha256 of ids, labels, attributes, masks and pixels per split, at the default size."""


class Attribute(_Closed):
    """A property of the image that may be spuriously correlated with the label."""

    values: list[str]
    semantics: str = ""


class Groups(_Closed):
    """Named cells of label x attribute, last attribute fastest."""

    by: list[str]
    names: list[str]
    minority: list[str] = Field(default_factory=list)


class Expected(_Closed):
    """Counts that must be found in a split at the default size."""

    n: int
    groups: list[int]


class Explain(_Closed):
    """How explanations are measured (protocol `patch-curve/1`)."""

    images: int = Field(gt=0)
    """Explained images, drawn evenly over the groups from `seed`."""
    steps: int = Field(gt=0)
    operator: Literal["mean"] = "mean"
    """What replaces a removed patch: `mean` is 0 after normalisation."""
    target: Literal["predicted"] = "predicted"
    random_draws: int = Field(default=5, gt=0)
    seed: int = Field(default=0, ge=0)


class Protocol(_Closed):
    """How a model is trained, selected and evaluated on the suite."""

    train_split: Split = "train"
    select_split: Split = "val"
    eval_split: Split = "test"
    selection: Literal["last"]
    """Which epoch is evaluated; only the last one is implemented."""
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


class Reference(_Closed):
    """A published number, with its source."""

    model: str
    metric: str
    value: float
    source: str
    selection: str = ""
    mark: Literal["verified", "secondary", "uncertain"]


class Suite(_Closed):
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
    generation: Generation
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
