"""The row every metric returns, and the catalogue of what the numbers mean.

A metric is a pure function of the stored tables (`predictions`, `explanations`); it never sees a
model and never imports torch. One value is one `MetricRow`; a value that is not defined is `None`
with a `reason`, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MetricRow:
    """One number of a report, with its uncertainty and everything needed to name it.

    Attributes:
        metric: Standard name, for instance `worst_group_accuracy`.
        value: The point estimate, or None when undefined (then `reason` says why).
        ci_low: Lower end of the 95 % interval, or None.
        ci_high: Upper end of the 95 % interval, or None.
        ci_method: How the interval was made: `wilson`, `mover_wilson`, `bootstrap_2000`, ...
        n: Number of images the value rests on.
        group: Group name, `all`, or for a minimum the name of the group or class that attains it.
        variant: Image variant, for instance `original` or `mixed_rand`.
        explainer: Explainer name, or None for metrics of predictions.
        unit: `fraction`, `probability`, `patches`, ...
        higher_is_better: Direction, or None where there is none.
        version: Version of the metric's definition; it grows when published values can change.
        reason: Why the value is None, or a remark such as `near_tie`.
    """

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


COLUMNS = tuple(item.name for item in fields(MetricRow))


def to_frame(rows: Iterable[MetricRow]) -> pd.DataFrame:
    """The rows as a DataFrame with the columns of `MetricRow`, in their order."""
    import pandas as pd  # suite files are checked without it

    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


@dataclass(frozen=True)
class ScoreContext:
    """What a metric must know beside the tables: the suite's declarations and the statistics.

    Attributes:
        groups: Names of the groups that the evaluated split must hold, in suite order. Worst-group
            accuracy is over all of them.
        train_shares: Share of each group in the training split, for `adjusted_accuracy`;
            None when the suite has no training split.
        minority: Groups in which the spurious attribute contradicts its majority label.
        split: The evaluated split.
        labels: Class names in the order of their indices; empty when they have none.
        attributes: The values of each attribute, in suite order.
        metrics: Metrics that the protocol asks for, with their parameters.
        pair_by: What the background of a swap variant was chosen by, where it is not the class.
        patch_grid: (h, w) patches of the model, or None where it has none.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """

    groups: tuple[str, ...]
    train_shares: tuple[float, ...] | None = None
    minority: tuple[str, ...] = ()
    split: str = "test"
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pair_by: Mapping[str, str] = field(default_factory=dict)
    patch_grid: tuple[int, int] | None = None
    resamples: int = 2000
    seed: int = 0

    @property
    def scopes(self) -> tuple[str, ...]:
        """`all` and then each group; a suite without groups has the one group `all`."""
        return tuple(dict.fromkeys(("all", *self.groups)))

    def class_name(self, y: int) -> str:
        """The name of a class, or `class <y>` where the suite gives none."""
        return self.labels[y] if 0 <= y < len(self.labels) else f"class {y}"


@dataclass(frozen=True)
class Tables:
    """The stored tables a run is scored from.

    Attributes:
        predictions: One row per image and variant (`id, split, variant, group, y, a_*, y_pred,
            prob_true, prob_pred, margin`, and `n_selected` for models that select patches).
        explanations: One row per image and explainer (`id, group, y, target, explainer,
            operator, deletion_auc, insertion_auc, srg, relevance_mass, mask_iou, area`), or
            an empty frame.
        sanity: Checks of the explainers (`id, group, explainer, check, value`), or None.
        battery: Tests of the model's own mask (`id, group, y, a_*, test, quantity, condition,
            value`), or None.
        selections: The model's own masks as packed bits (`id, variant, group, y, a_*, mask`), or
            None.
        mask_samples: Predictions under noisy masks (`id, split, variant, group, y, sample, y_pred,
            n_selected, patch_flips, y_pred_averaged`), or None.
    """

    predictions: pd.DataFrame
    explanations: pd.DataFrame
    sanity: pd.DataFrame | None = None
    battery: pd.DataFrame | None = None
    selections: pd.DataFrame | None = None
    mask_samples: pd.DataFrame | None = None


TABLES = tuple(item.name for item in fields(Tables))
"""The names of the stored tables; each lies in `<name>.csv.gz`."""

WHEN_MEASURED = tuple(item.name for item in fields(Tables) if item.default is None)
"""Those that only some requests make."""
