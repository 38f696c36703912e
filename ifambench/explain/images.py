"""The images that are explained together: pixels, masks, targets and what scores them.

Everything here is shared by all explainers and made when it is first needed, so that a part whose
explainers are all in the journal loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ifambench.data.manifest import SuiteData
from ifambench.errors import UsageError
from ifambench.explain.curves import Memo, intact_ends
from ifambench.explain.removal import Removal
from ifambench.explain.scoring import EmptyEnd, Scorer, token_budget
from ifambench.metrics.localization import patch_coverage
from ifambench.models.base import Classifier
from ifambench.predict.forward import Batch, load_batch
from ifambench.suites.spec import Operator, Target

CHUNK = 32
"""Images per part; fixed, so that a run can go on with another batch size."""

Precision = Literal["32", "bf16"]


@dataclass(frozen=True)
class ExplainSettings:
    """How explanations are measured.

    Attributes:
        steps: S, points of a curve beside the start.
        random_draws: Orders that the random floor is averaged over.
        seed: Seed of explainers with random numbers and of the noise fill.
        batch_size: Whole inputs per forward pass, which bound the tokens of any pass; None for what
            suits the device (`scoring.token_budget`). It changes no result.
        device: Where to compute; the model is there already.
        operators: What a removed patch becomes (`operators.py`). The first one is the headline: its
            rows have the plain name of the explainer, and explainers that remove patches do it
            under this operator.
        target: The class whose score is followed: the one predicted for the clean image, or the
            label.
        precision: Of the inputs of curves: `32`, or `bf16` (autocast).
    """

    steps: int = 16
    random_draws: int = 5
    seed: int = 0
    batch_size: int | None = None
    device: torch.device | str = "cpu"
    operators: tuple[Operator, ...] = ("mean",)
    target: Target = "predicted"
    precision: Precision = "32"

    @property
    def headline(self) -> Operator:
        """The operator whose rows have the plain names."""
        return self.operators[0]


@dataclass
class Work:
    """What all parts share."""

    model: Classifier
    data: SuiteData
    settings: ExplainSettings
    empties: dict[str, EmptyEnd] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        """Tokens computed at once."""
        return token_budget(self.model, self.settings.device, self.settings.batch_size)

    @property
    def images_at_once(self) -> int:
        """Images that an explainer is given, and inputs per pass that it is told."""
        down, across = self.model.patch_grid
        fit = self.budget // (down * across + self.model.num_prefix_tokens)
        return min(max(fit, 1), _GRADIENT_IMAGES)


_GRADIENT_IMAGES = 64  # a backward pass holds the activations of all layers


@dataclass
class Part:
    """Some images of one variant.

    Attributes:
        work: What all parts share.
        rows: Manifest rows with `y_pred`, `prob_pred` and `prob_true`.
    """

    work: Work
    rows: pd.DataFrame
    _scorers: dict[str, Scorer] = field(default_factory=dict)
    _intact: dict[str, Memo] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """The image ids."""
        return list(self.rows["id"])

    @cached_property
    def batch(self) -> Batch:
        """Model input on the device."""
        work = self.work
        return load_batch(work.model, work.data, self.rows, work.settings.device)

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """(N,) the class whose score is followed.

        Raises:
            UsageError: If a label is no class of the model.
        """
        column = "y_pred" if self.work.settings.target == "predicted" else "y"
        targets, classes = np.array(self.rows[column], dtype=np.int64), self.work.model.num_classes
        wrong = (targets < 0) | (targets >= classes)
        if wrong.any():
            name, label = self.ids[int(wrong.argmax())], int(targets[wrong.argmax()])
            raise UsageError(
                f"the label {label} of image {name} is no class of the model, which has {classes}",
                where="--target label",
                next_step="use --target predicted, or a model with the classes of the suite",
            )
        return targets

    @cached_property
    def coverage(self) -> NDArray[np.float64]:
        """(N, h, w) share of each patch on the object; NaN for images without a mask."""
        known = self.rows["mask"].fillna("").ne("").to_numpy()
        grid = self.work.model.patch_grid
        coverage = np.full((len(self.rows), *grid), np.nan)
        if known.any():
            masks = self.work.data.pixels.masks(self.rows[known])
            coverage[known] = patch_coverage(masks, grid)
        return coverage

    def scorer(self, operator: str) -> Scorer:
        """What follows the targets under an operator."""
        if operator not in self._scorers:
            self._scorers[operator] = self._scorer(operator)
        return self._scorers[operator]

    def memo(self, operator: str) -> Memo:
        """The scores of the intact ends, of which the first caller has the cost.

        Nothing else is handed on, so that what is measured together, and with it the last bits of
        all numbers, is the same when a run goes on after it was stopped.
        """
        first = operator not in self._intact
        if first:
            self._intact[operator] = intact_ends(self.scorer(operator))
        known = self._intact[operator]
        return replace(known) if first else replace(known, n_evaluated=0)

    def _scorer(self, operator: str) -> Scorer:
        work, settings = self.work, self.work.settings
        images, masks = self.batch
        removal = Removal(work.model.unmapped, operator, images, self.ids, masks, settings.seed)
        return Scorer(
            model=work.model,
            removal=removal,
            targets=torch.from_numpy(self.targets).to(images.device),
            budget=work.budget,
            precision=settings.precision,
            full=self._predicted if removal.keeps_prediction else None,
            empty=work.empties.setdefault(operator, EmptyEnd()),
        )

    @property
    def _predicted(self) -> NDArray[np.float64] | None:
        """(N,) probabilities that the prediction gave to the targets, in the same precision."""
        if self.work.settings.precision != "32":
            return None
        column = "prob_pred" if self.work.settings.target == "predicted" else "prob_true"
        return np.array(self.rows[column], dtype=np.float64)


def parts_of(work: Work, rows: pd.DataFrame, predictions: pd.DataFrame) -> Iterator[Part]:
    """The rows in parts, with what was predicted for them.

    Raises:
        ValueError: If an image has no prediction.
    """
    key = ["id", "variant"]
    known = predictions[[*key, "y_pred", "prob_pred", "prob_true"]]
    merged = rows.merge(known, on=key, how="left", validate="one_to_one")
    if merged["y_pred"].isna().any():
        raise ValueError(f"no prediction for {merged.loc[merged['y_pred'].isna(), 'id'].min()}")
    for start in range(0, len(merged), CHUNK):
        yield Part(work, merged.iloc[start : start + CHUNK])
