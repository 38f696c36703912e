"""The run record, `run.json`: what was run, on what, with what, and what came out.

The record is the only thing `compare`, `leaderboard` and `report` read beside the stored tables.
Its JSON Schema is exported by `ifambench show run-schema`. A record written by a newer schema is
refused; an older one is migrated, one function per step.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Status = Literal["started", "complete", "partial", "interrupted"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SuiteRef(_Closed):
    """The suite a run was evaluated on."""

    id: str
    version: str
    """Semantic version; results of different major versions are not comparable."""
    digest: str
    """sha256 of the suite file."""
    data_digest: str
    """sha256 fingerprint of the evaluated data (ids, labels, attributes and pixels)."""
    size: str
    """`default`, or the multiple of the default size for generated suites (`--size`)."""


class WeightsRef(_Closed):
    """Where the weights come from."""

    sha256: str
    """sha256 of the weights file that was evaluated."""
    source: str
    """`trained here`, or the path or hub id they were loaded from."""
    pretrained: str | None = None
    """Name of the pretrained backbone, or None for random initialisation."""
    pretrained_sha256: str | None = None


class ModelRef(_Closed):
    """The evaluated model."""

    name: str
    """Catalogue name, with `+method` when it is not the model's own training method."""
    architecture: str
    method: str
    """Training method: erm, ifam, groupdro, dfr, ..."""
    labels_needed: Literal["none", "val", "train", "train+val", "masks", "unknown"]
    """Group labels (or true masks) the method uses beyond the class labels; `unknown` for given
    weights."""
    parameters: int
    capabilities: list[str]
    data_config: dict[str, Any]
    """Input size, mean, std, crop and interpolation."""
    patch_grid: tuple[int, int] | None
    weights: WeightsRef


class Protocol(_Closed):
    """How the run was selected and evaluated."""

    name: str
    train_split: str | None
    select_split: str | None
    eval_split: str
    selection: str
    """Selection policy: `last`, `best_val_accuracy`, ..., `test_oracle`, `none`."""
    label_scope: str | None = None
    """How the classes of ImageNet-1k became labels (`all`, `members`); None: they did not."""
    primary_metric: str
    """The metric that ranks."""
    ranked: bool = True
    """Whether the suite lets results under this protocol be ranked."""
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Metrics that the protocol asks for beside those of every suite, with their parameters."""
    variants: list[str]
    pair_by: dict[str, str] = Field(default_factory=dict)
    """What the background of a swap variant was chosen by, where it is not the class."""
    explain: dict[str, Any] = Field(default_factory=dict)
    """Explained images, steps, operator and target rule (protocol `patch-curve/1`)."""


class Metric(_Closed):
    """One metric row; see `ifambench.metrics.base.MetricRow` for the meaning of the fields."""

    metric: str
    value: float | None
    n: int
    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str | None = None
    group: str = "all"
    variant: str = "original"
    explainer: str | None = None
    unit: str = "fraction"
    higher_is_better: bool | None = True
    version: int = 1
    reason: str | None = None


class Phase(_Closed):
    """Cost of one phase of the run, summed over resumed parts."""

    name: str
    seconds: float
    images: int
    """Images (for explanations: forward passes) processed in that time."""
    images_per_second: float | None


class Table(_Closed):
    """A stored table beside the record."""

    file: str = Field(pattern=r"^\w[\w.-]*$")
    """A file name: a record never points out of its folder."""
    rows: int
    sha256: str
    """sha256 of the uncompressed CSV text."""


class Environment(_Closed):
    """Software and hardware."""

    python: str
    platform: str
    packages: dict[str, str]
    device: str
    dtype: str
    threads: int
    git_commit: str | None
    git_dirty: bool | None


class RunRecord(_Closed):
    """Everything about one run; the content of `run.json`."""

    schema_version: int = SCHEMA_VERSION
    ifambench_version: str
    status: Status
    key: dict[str, str]
    """Digests that decide whether a stored run can be reused (suite, data, recipe, ...)."""
    suite: SuiteRef
    model: ModelRef
    protocol: Protocol
    seed: int
    recipe: dict[str, Any]
    training: dict[str, Any] = Field(default_factory=dict)
    """What the recipe came to: effective batch, processes, learning-rate rule, selected epoch."""
    command: str
    """A command that reproduces the run."""
    labels: list[str] = Field(default_factory=list)
    """Name of each class, in the order of the integer labels; empty when they have no names."""
    attributes: dict[str, list[str]] = Field(default_factory=dict)
    """The values of each attribute, in suite order; empty in records of earlier versions."""
    groups: list[str]
    """The groups that the evaluated split must hold."""
    train_shares: list[float] | None
    """Share of each of these groups among the training images, or None without training."""
    minority: list[str]
    environment: Environment
    phases: list[Phase] = Field(default_factory=list)
    peak_memory_bytes: int | None = None
    explaining: dict[str, Any] = Field(default_factory=dict)
    """How the explanations were measured: `protocol` (numbers of images, operators, precision),
    `explainers` (forward passes and seconds of each), `left_out` (explainers the model or the data
    cannot do, with the reason), `not_measured` (tests of the battery, with the reason) and
    `mask_samples` (noisy masks per image, and their seed). Empty in records of earlier versions."""
    tables: dict[str, Table] = Field(default_factory=dict)
    metrics: list[Metric] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    started_at: str
    finished_at: str | None = None
