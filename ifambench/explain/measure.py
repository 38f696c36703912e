"""Measure explainers on images: faithfulness curves, localisation and the maps themselves.

The work is cut into parts of a few images; what one explainer gave on one part is kept in the
journal. The curves of several explainers of one part are evaluated together, in waves that are
short enough to lose little when the run is stopped.

Explainers that remove patches themselves do it under the headline operator: a map is made once and
measured under every operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ifambench.data.manifest import SuiteData
from ifambench.explain.base import (
    EXPLAINER_REGISTRY,
    ExplainContext,
    check_needs,
    map_passes,
    relevance_of,
)
from ifambench.explain.choose import choose_images
from ifambench.explain.curves import Asked, Curves, measure_curves, step_counts
from ifambench.explain.images import ExplainSettings, Part, Work, parts_of
from ifambench.explain.keep_score import scores_of_sets
from ifambench.explain.operators import check_operator, labels_of
from ifambench.explain.ranking import (
    PROTOCOL,
    expected_orders,
    join_orders,
    patch_orders,
    tied_patches,
)
from ifambench.explain.table_rows import (
    CURVE_COLUMNS,
    curve_columns,
    explanation_table,
    map_columns,
    mean_curves,
    plain_rows,
)
from ifambench.metrics.deletion import FLOOR
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating, refuse_non_finite
from ifambench.predict.journal import Journal, Row, chunk_name
from ifambench.progress import Progress
from ifambench.records.store import EXPLANATION_COLUMNS

__all__ = ["ExplainResult", "ExplainSettings", "choose_images", "explain_rows"]

WAVE = 64
"""Batches after which what is measured is kept in the journal, at the latest after one explainer:
few enough to lose minutes when a run is killed, many enough for the last batch not to matter."""


@dataclass(frozen=True)
class ExplainResult:
    """What was measured.

    Attributes:
        explanations: One row per explainer and image, the columns `EXPLANATION_COLUMNS`. Rows of
            another operator than the headline are called `NAME@OPERATOR`.
        curves: Mean curves, the columns `CURVE_COLUMNS`, group `all` first.
        maps: (N, h, w) float32 relevance per explainer, in the order of the explained rows.
        n_forwards: Inputs evaluated for curves, those of the journal included.
        costs: Per row name: `forwards`, the different inputs of its curves, `seconds` spent on
            them, and `map_seconds` spent on its maps. Inputs that several explainers share are
            evaluated once, so the forwards may sum to more than `n_forwards`.
    """

    explanations: pd.DataFrame
    curves: pd.DataFrame
    maps: dict[str, NDArray[np.float32]]
    n_forwards: int
    costs: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Label:
    """One name in the tables."""

    name: str
    explainer: str
    operator: str

    @property
    def info(self) -> dict[str, Any]:
        """What the explainer's file says of it."""
        return dict(EXPLAINER_REGISTRY.entry(self.explainer).info)

    def draws(self, settings: ExplainSettings) -> int:
        """Orders per image, but for those of ties."""
        return settings.random_draws if self.info.get("draws") else 1


@dataclass(frozen=True)
class _Maps:
    """The maps of one explainer on one part: (D, N, h, w), and the seconds they took."""

    values: NDArray[np.float32]
    seconds: float


def nothing_explained() -> ExplainResult:
    """The result of explaining no image."""
    return ExplainResult(
        explanations=pd.DataFrame(columns=list(EXPLANATION_COLUMNS)),
        curves=pd.DataFrame(columns=list(CURVE_COLUMNS)),
        maps={},
        n_forwards=0,
        costs={},
    )


def explain_rows(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    explainers: Sequence[str],
    settings: ExplainSettings,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> ExplainResult:
    """Measure the explainers on the images of some manifest rows.

    Args:
        model: On the device already; left in the mode it was in.
        data: Where pixels and masks are.
        rows: Manifest rows of one variant.
        predictions: The prediction table; it must hold these images.
        explainers: Names; the random floor is added where it is missing.
        settings: How to measure.
        journal: Finished parts are read from it and added to it.
        progress: Told about forward passes, and beforehand how many there will be: those of the
            maps, as their explainers state them, and the inputs of the curves with the ties that
            are certain. Other ties make those more and shared inputs fewer, so each explainer of
            a part counts as what was planned for it.

    Raises:
        UsageError: If an explainer or operator is unknown or needs what the model lacks, or a
            target is no class of the model.
        EnvironmentProblem: If relevance or scores are not finite; the message names the image.
    """
    names = list(dict.fromkeys([*explainers, FLOOR]))
    operators = list(dict.fromkeys(settings.operators))
    for name in names:
        check_needs(name, model)
    for operator in operators:
        check_operator(operator, model)
    labels = [_Label(label, *what) for label, what in labels_of(names, operators).items()]
    progress = progress or Progress()
    work = Work(model, data, settings)
    planned = sum(_steps(work, label) for label in labels) * len(rows)
    progress.message(
        f"explain: explainers {len(labels)}, images {len(rows):,}, forward passes about {planned:,}"
    )
    progress.start("explain", planned)
    found: dict[str, list[Row]] = {label.name: [] for label in labels}
    with evaluating(model):
        for part in parts_of(work, rows, predictions):
            for name, measured in _measured_part(part, labels, journal, progress).items():
                found[name] += measured
    return _result(model, data, settings, found, names)


def _result(
    model: Classifier,
    data: SuiteData,
    settings: ExplainSettings,
    found: dict[str, list[Row]],
    names: Sequence[str],
) -> ExplainResult:
    every = [row for part in found.values() for row in part]
    counts = step_counts(int(np.prod(model.patch_grid)), settings.steps)
    return ExplainResult(
        explanations=explanation_table(every),
        curves=mean_curves(every, counts / counts[-1], data.suite.groups.names),
        maps={name: _stored_maps(found[name], model.patch_grid) for name in names},
        n_forwards=sum(row["_evaluated"] for row in every),
        costs={name: _cost(part) for name, part in found.items()},
    )


def _steps(work: Work, label: _Label) -> int:
    """Forward passes of one image, as planned; maps are made once, for the headline."""
    made = label.operator == work.settings.headline
    return _planned(work, label) + (_map_passes(work, label.explainer) if made else 0)


def _planned(work: Work, label: _Label) -> int:
    """Inputs of the curves of one image, with the ties that are certain; at least one."""
    orders = expected_orders(label.explainer, work.model.capabilities)
    return max(1, _inner(work) * label.draws(work.settings) * orders)


def _map_passes(work: Work, explainer: str) -> int:
    return map_passes(explainer, int(np.prod(work.model.patch_grid)))


def _inner(work: Work) -> int:
    """Points of both curves of one order, without the ends."""
    return 2 * (len(step_counts(int(np.prod(work.model.patch_grid)), work.settings.steps)) - 2)


def _inputs(part: Part, asked: Sequence[Asked]) -> int:
    """Inputs of some orders if none were equal; at least one."""
    orders = sum(len(one.orders.image) for one in asked)
    return max(1, _inner(part.work) * orders)


def _measured_part(
    part: Part, labels: Sequence[_Label], journal: Journal | None, progress: Progress
) -> dict[str, list[Row]]:
    """The rows of all labels on one part, from the journal where they are there."""
    found: dict[str, list[Row]] = {}
    maps: dict[str, _Maps] = {}
    for wave in _waves(part, labels):
        missing = []
        for label in wave:
            rows = journal.get(_chunk(part, label)) if journal else None
            if rows is None:
                missing.append(label)
            else:
                found[label.name] = rows
                progress.advance(_steps(part.work, label) * len(rows), "reused")
        measured = _measure(part, missing, maps, progress) if missing else []
        for label, rows in zip(missing, measured, strict=True):
            found[label.name] = rows
            if journal:
                journal.put(_chunk(part, label), rows)
    return found


def _chunk(part: Part, label: _Label) -> str:
    """The journal's name of what is measured; every setting that changes the numbers is in it."""
    settings = part.work.settings
    numbers = (settings.steps, settings.random_draws, settings.seed)
    how = (PROTOCOL, settings.headline, settings.target, settings.precision, *numbers)
    return chunk_name("/".join(map(str, (*how, label.operator, label.explainer))), part.rows)


def _waves(part: Part, labels: Sequence[_Label]) -> Iterator[list[_Label]]:
    """Labels of one operator at a time, together up to `WAVE` batches."""
    model = part.work.model
    whole = int(np.prod(model.patch_grid)) + model.num_prefix_tokens
    limit = WAVE * max(1, part.work.budget // whole)
    wave: list[_Label] = []
    planned = 0
    for label in labels:
        size = _steps(part.work, label) * len(part.rows)
        if wave and (planned + size > limit or label.operator != wave[0].operator):
            yield wave
            wave, planned = [], 0
        wave.append(label)
        planned += size
    if wave:
        yield wave


def _measure(
    part: Part, wave: Sequence[_Label], maps: dict[str, _Maps], progress: Progress
) -> list[list[Row]]:
    """Maps, curves and localisation of some explainers under one operator on one part."""
    settings, operator = part.work.settings, wave[0].operator
    for label in wave:
        if label.explainer not in maps:
            told = progress if label.operator == settings.headline else Progress()
            maps[label.explainer] = _maps(part, label.explainer, label.draws(settings), told)
    asked = [_asked(part, label, maps[label.explainer].values) for label in wave]
    planned = sum(_planned(part.work, label) for label in wave) * len(part.rows)
    memo, started = part.memo(operator), perf_counter()
    tick = _Ticks(progress, planned, _inputs(part, asked))
    curves = measure_curves(part.scorer(operator), asked, settings.steps, memo, tick)
    tick.finish(_wave_note(wave))
    seconds = perf_counter() - started
    total = max(1, sum(curve.n_forwards for curve in curves))
    evaluated = [memo.n_evaluated] + [0] * (len(wave) - 1)
    return [
        _rows(part, label, maps[label.explainer], curve, seconds * curve.n_forwards / total, new)
        for label, curve, new in zip(wave, curves, evaluated, strict=True)
    ]


def _wave_note(wave: Sequence[_Label]) -> str:
    """A note that stays short, whatever is measured together."""
    what = wave[0].explainer if len(wave) == 1 else f"{len(wave)} explainers"
    return f"curves of {what}, {wave[0].operator}"


def _asked(part: Part, label: _Label, maps: NDArray[np.float32]) -> Asked:
    """The orders of an explainer's maps (D, N, h, w)."""
    several = [patch_orders(draw, part.ids) for draw in maps]
    if not label.info.get("binary"):
        return Asked(join_orders(several))
    areas = (maps > 0).sum(axis=(2, 3))  # (D, N)
    selected = [area[orders.image] for area, orders in zip(areas, several, strict=True)]
    return Asked(join_orders(several), np.concatenate(selected).astype(np.int64))


def _rows(
    part: Part, label: _Label, maps: _Maps, curves: Curves, seconds: float, evaluated: int
) -> list[Row]:
    """The rows of one label; costs are those of the whole part and stand at its first image."""
    refuse_non_finite(
        np.concatenate([curves.deletion + curves.insertion, curves.deletion_logit], axis=1),
        part.ids,
        f"the scores of {label.name} are",
    )
    values, rest = maps.values, [0] * (len(part.ids) - 1)
    columns = {
        **{key: part.rows[key] for key in ("id", "group", "y", "y_pred")},
        "target": part.targets,
        **curve_columns(curves),
        **map_columns(values, part.coverage, binary=bool(label.info.get("binary"))),
        "n_ties": tied_patches(values[0]),
        "constant_map": np.ptp(values[0], axis=(1, 2)) == 0,
        "_deletion": curves.deletion,
        "_insertion": curves.insertion,
        "_forwards": [curves.n_forwards, *rest],
        "_evaluated": [evaluated, *rest],
        "_seconds": [seconds, *rest],
        "_map_seconds": [maps.seconds, *rest],
    }
    if label.operator == part.work.settings.headline:
        columns["_map"] = values[0].reshape(len(part.ids), -1)
    return plain_rows(columns, {"explainer": label.name, "operator": label.operator})


def _maps(part: Part, name: str, draws: int, progress: Progress) -> _Maps:
    """The maps of all draws, on the host. Progress counts a draw of several as nothing."""
    started = perf_counter()
    told = [progress, *[Progress()] * (draws - 1)]
    values = np.stack([_relevance(part, name, draw, told[draw]) for draw in range(draws)])
    return _Maps(values, perf_counter() - started)


def _relevance(part: Part, name: str, draw: int, progress: Progress) -> NDArray[np.float32]:
    """(N, h, w) relevance of one draw, in batches."""
    settings, model, size = part.work.settings, part.work.model, part.work.images_at_once
    images, masks = part.batch
    scorer = part.scorer(settings.headline)
    coverage = torch.from_numpy(part.coverage).to(images.device, torch.float32)
    found = []
    for start in range(0, len(images), size):
        chosen = slice(start, start + size)
        context = ExplainContext(
            ids=part.ids[chosen],
            seed=settings.seed,
            masks=None if masks is None else masks[chosen],
            draw=draw,
            coverage=coverage[chosen],
            score=scores_of_sets(scorer, start),
            batch_size=size,
        )
        targets = scorer.targets[chosen]
        found.append(relevance_of(name, model, images[chosen], targets, context))
        progress.advance(_map_passes(part.work, name) * len(targets), name)
    return np.asarray(torch.cat(found).cpu().numpy(), dtype=np.float32)


class _Ticks:
    """Turns evaluated inputs into planned ones, so that a phase ends exactly at its total."""

    def __init__(self, progress: Progress, planned: int, expected: int) -> None:
        self._progress, self._planned, self._expected = progress, planned, expected
        self._told = self._done = 0

    def __call__(self, inputs: int) -> None:
        self._done += inputs
        share = min(1.0, self._done / self._expected)
        self._tell(int(share * self._planned), f"{self._done:,} inputs")

    def finish(self, note: str) -> None:
        """All are done, whatever their number was."""
        self._tell(self._planned, note)

    def _tell(self, reached: int, note: str) -> None:
        if reached > self._told:
            self._progress.advance(reached - self._told, note)
            self._told = reached


def _cost(rows: list[Row]) -> dict[str, float]:
    return {
        "forwards": sum(row["_forwards"] for row in rows),
        "seconds": sum(row["_seconds"] for row in rows),
        "map_seconds": sum(row["_map_seconds"] for row in rows),
    }


def _stored_maps(rows: list[Row], grid: tuple[int, int]) -> NDArray[np.float32]:
    return np.array([row["_map"] for row in rows], dtype=np.float32).reshape(-1, *grid)
