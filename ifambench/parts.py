"""What each part of a two-stage model is worth: accuracy when its patches are taken away.

Removing a part turns the patches that belong to it into background, so stage 2 does not see them.
Nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ifambench.data.manifest import SuiteData
from ifambench.errors import UsageError
from ifambench.metrics.group_accuracy import group_counts, groups_with_images
from ifambench.models.base import Classifier
from ifambench.models.ifam import Ifam
from ifambench.models.interventions import Interventions, part_thresholds
from ifambench.predict.forward import evaluating, load_batch
from ifambench.predict.loop import predict
from ifambench.progress import Progress


@dataclass(frozen=True)
class Removal:
    """The evaluated split with some parts removed.

    Attributes:
        parts: The removed parts; empty for the whole model.
        share: Share of the patches that the whole model selects which belong to these parts; None
            when it selects none.
        present: Images with a selected patch of these parts.
        accuracy: Micro average.
        worst_group_accuracy: Over the declared groups that have images.
        worst_group: Its name.
        groups: Accuracy of each of these groups.
        flip_rate: Share of the images whose prediction is not that of the whole model.
        empty: Images for which no patch is left.
    """

    parts: tuple[int, ...]
    share: float | None
    present: int
    accuracy: float
    worst_group_accuracy: float
    worst_group: str
    groups: dict[str, float]
    flip_rate: float
    empty: int


@dataclass(frozen=True)
class PartsReport:
    """The whole model and what is left of it.

    Attributes:
        images: Evaluated images.
        num_parts: K.
        whole: Nothing removed.
        removals: Each part alone, then the further combinations that were asked for.
        predictions: The prediction table of the whole model.
    """

    images: int
    num_parts: int
    whole: Removal
    removals: tuple[Removal, ...]
    predictions: pd.DataFrame


@dataclass(frozen=True)
class Evaluation:
    """What the model is evaluated on, and how.

    Attributes:
        data: Where the pixels are.
        rows: Manifest rows of one variant.
        batch_size: Images per forward pass; it changes no result.
        device: Where to compute; the model is there.
        progress: Told about each batch.
    """

    data: SuiteData
    rows: pd.DataFrame
    batch_size: int
    device: torch.device | str
    progress: Progress


def leave_parts_out(
    model: Classifier,
    on: Evaluation,
    combinations: Sequence[tuple[int, ...]] = (),
    base: Interventions | None = None,
) -> PartsReport:
    """Evaluate the model whole, without each of its parts, and without given combinations.

    Args:
        model: A two-stage model, on the device already; left as it was.
        on: The images.
        combinations: Sets of parts to remove together.
        base: What holds in every row; by default the model's own interventions.

    Raises:
        UsageError: If the model is no two-stage model, or has no such part.
        EnvironmentProblem: If a logit is not finite; the message names the image.
    """
    inner = two_stage(model)
    base = base or inner.interventions
    count = inner.stage_1.num_parts
    wanted = list(dict.fromkeys([(part,) for part in range(count)] + list(combinations)))
    changed = {parts: _also_without(base, parts) for parts in wanted}
    for what in changed.values():
        what.check(count)
    with intervening(inner, base):
        patches = selected_by_part(model, on)  # (N, K)
        whole = _predict(model, on)
    found = []
    for parts, what in changed.items():
        with intervening(inner, what):
            found.append(_removal(parts, _predict(model, on), whole, patches, on))
    return PartsReport(
        images=len(on.rows),
        num_parts=count,
        whole=_removal((), whole, whole, patches, on),
        removals=tuple(found),
        predictions=whole,
    )


def selected_by_part(model: Classifier, on: Evaluation) -> NDArray[np.int64]:
    """Selected patches that belong to each part, (N, K)."""
    found = []
    on.progress.start("parts", len(on.rows))
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(on.rows), on.batch_size):
            rows = on.rows.iloc[start : start + on.batch_size]
            selection = model.select(load_batch(model, on.data, rows, on.device).images)
            owner = selection.part_maps[:, :-1].argmax(dim=1, keepdim=True)  # (B, 1, h, w)
            every = torch.zeros_like(selection.part_maps[:, :-1], dtype=torch.long)
            member = every.scatter(1, owner, selection.mask[:, None].long())  # (B, K, h, w)
            found.append(member.flatten(2).sum(dim=2).cpu().numpy())
            on.progress.advance(len(rows))
    return np.concatenate(found)


def thresholds_of(model: Classifier, on: Evaluation, quantile: float, compat: str) -> Interventions:
    """The low-confidence thresholds from the training images in `on`.

    Raises:
        UsageError: If the quantile is not in [0, 1].
    """
    inner = two_stage(model)
    on.progress.start("threshold", len(on.rows))

    def batches() -> Iterator[torch.Tensor]:
        for start in range(0, len(on.rows), on.batch_size):
            rows = on.rows.iloc[start : start + on.batch_size]
            yield load_batch(model, on.data, rows, on.device).images
            on.progress.advance(len(rows))

    with evaluating(model), torch.inference_mode():
        limits = part_thresholds(inner, batches(), quantile)
    return replace(inner.interventions, thresholds=limits, compat=compat)


@contextmanager
def intervening(model: Ifam, what: Interventions) -> Iterator[None]:
    """The model with the interventions, and afterwards as it was."""
    before = model.interventions
    model.interventions = what
    try:
        yield
    finally:
        model.interventions = before


def two_stage(model: Classifier) -> Ifam:
    """The two stages, also of a model whose classes are mapped to the labels of a suite.

    Raises:
        UsageError: If it is no two-stage model.
    """
    inner = model.unmapped
    if not isinstance(inner, Ifam):
        raise UsageError(
            "only a two-stage model has parts that can be removed",
            choices=["the run of an ifam-vit model"],
            next_step="ifambench list models",
        )
    return inner


def check_parts(model: Classifier, combinations: Sequence[tuple[int, ...]]) -> None:
    """Refuse parts that the model does not have, before anything is loaded.

    Raises:
        UsageError: Naming the first one, or if the model is no two-stage model.
    """
    for parts in combinations:
        Interventions(remove_parts=parts).check(two_stage(model).stage_1.num_parts)


def parse_parts(text: str) -> tuple[int, ...]:
    """Parts of an option such as `0,3`.

    >>> parse_parts("3,0")
    (0, 3)

    Raises:
        UsageError: If the text is not a list of part numbers.
    """
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise UsageError(
            f'"{text}" does not name parts',
            where="--remove-parts",
            next_step="numbers from 0, with commas: --remove-parts 0,3",
        )
    return tuple(sorted({int(word) for word in words}))


def _also_without(base: Interventions, parts: tuple[int, ...]) -> Interventions:
    return replace(base, remove_parts=tuple(sorted({*base.remove_parts, *parts})))


def _predict(model: Classifier, on: Evaluation) -> pd.DataFrame:
    return predict(
        model,
        on.data,
        on.rows,
        batch_size=on.batch_size,
        device=on.device,
        progress=on.progress,
    )


def _removal(
    parts: tuple[int, ...],
    left: pd.DataFrame,
    whole: pd.DataFrame,
    patches: NDArray[np.int64],
    on: Evaluation,
) -> Removal:
    groups = groups_with_images(on.rows, on.data.suite.groups.names)
    right, ns = group_counts(left.assign(correct=left["y_pred"] == left["y"]), groups)
    rates = {name: c / n for name, c, n in zip(groups, right, ns, strict=True)}
    worst = min(rates, key=lambda name: rates[name])
    own = patches[:, list(parts)].sum(axis=1)  # (N,)
    total = int(patches.sum())
    return Removal(
        parts=parts,
        share=int(own.sum()) / total if total else None,
        present=int((own > 0).sum()),
        accuracy=sum(right) / sum(ns),
        worst_group_accuracy=rates[worst],
        worst_group=worst,
        groups=rates,
        flip_rate=float((left["y_pred"] != whole["y_pred"]).mean()),
        empty=int((left["n_selected"] == 0).sum()),
    )
