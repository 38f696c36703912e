"""Measure explainers on images: faithfulness curves, localisation and the maps themselves.

The work is cut into parts of a few images; what one explainer gave on one part is kept in the
journal. The curves of several explainers of one part are evaluated together, in waves that are
short enough to lose little when the run is stopped.

Explainers that remove patches themselves do it under the headline operator: a map is made once and
measured under every operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.manifest import SuiteData
from ifambench.explain.base import check_needs
from ifambench.explain.choose import choose_images
from ifambench.explain.curves import Asked, Curves, measure_curves, step_counts
from ifambench.explain.images import ExplainSettings, Part, Work, parts_of
from ifambench.explain.operators import check_operator, labels_of
from ifambench.explain.part_maps import Maps, maps_of
from ifambench.explain.ranking import PROTOCOL, join_orders, patch_orders, tied_patches
from ifambench.explain.table_rows import (
    CURVE_COLUMNS,
    curve_columns,
    explanation_table,
    map_columns,
    mean_curves,
    plain_rows,
)
from ifambench.explain.waves import (
    Label,
    Ticks,
    inputs_of,
    planned_inputs,
    steps_of,
    wave_note,
    waves_of,
)
from ifambench.metrics.deletion import FLOOR
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating, refuse_non_finite
from ifambench.predict.journal import Journal, Row, chunk_name
from ifambench.progress import Progress
from ifambench.records.store import EXPLANATION_COLUMNS

__all__ = ["ExplainResult", "ExplainSettings", "choose_images", "explain_rows"]


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
    labels = [Label(label, *what) for label, what in labels_of(names, operators).items()]
    progress = progress or Progress()
    work = Work(model, data, settings)
    planned = sum(steps_of(work, label) for label in labels) * len(rows)
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


def _measured_part(
    part: Part, labels: Sequence[Label], journal: Journal | None, progress: Progress
) -> dict[str, list[Row]]:
    """The rows of all labels on one part, from the journal where they are there."""
    found: dict[str, list[Row]] = {}
    maps: dict[str, Maps] = {}
    for wave in waves_of(part, labels):
        missing = []
        for label in wave:
            rows = journal.get(_chunk(part, label)) if journal else None
            if rows is None:
                missing.append(label)
            else:
                found[label.name] = rows
                progress.advance(steps_of(part.work, label) * len(rows), "reused")
        measured = _measure(part, missing, maps, progress) if missing else []
        for label, rows in zip(missing, measured, strict=True):
            found[label.name] = rows
            if journal:
                journal.put(_chunk(part, label), rows)
    return found


def _chunk(part: Part, label: Label) -> str:
    """The journal's name of what is measured; every setting that changes the numbers is in it."""
    settings = part.work.settings
    numbers = (settings.steps, settings.random_draws, settings.seed)
    how = (PROTOCOL, settings.headline, settings.target, settings.precision, *numbers)
    return chunk_name("/".join(map(str, (*how, label.operator, label.explainer))), part.rows)


def _measure(
    part: Part, wave: Sequence[Label], maps: dict[str, Maps], progress: Progress
) -> list[list[Row]]:
    """Maps, curves and localisation of some explainers under one operator on one part."""
    settings, operator = part.work.settings, wave[0].operator
    for label in wave:
        if label.explainer not in maps:
            told = progress if label.operator == settings.headline else Progress()
            maps[label.explainer] = maps_of(part, label.explainer, label.draws(settings), told)
    asked = [_asked(part, label, maps[label.explainer].values) for label in wave]
    planned = sum(planned_inputs(part.work, label) for label in wave) * len(part.rows)
    memo, started = part.memo(operator), perf_counter()
    tick = Ticks(progress, planned, inputs_of(part, asked))
    curves = measure_curves(part.scorer(operator), asked, settings.steps, memo, tick)
    tick.finish(wave_note(wave))
    seconds = perf_counter() - started
    total = max(1, sum(curve.n_forwards for curve in curves))
    evaluated = [memo.n_evaluated] + [0] * (len(wave) - 1)
    return [
        _rows(part, label, maps[label.explainer], curve, seconds * curve.n_forwards / total, new)
        for label, curve, new in zip(wave, curves, evaluated, strict=True)
    ]


def _asked(part: Part, label: Label, maps: NDArray[np.float32]) -> Asked:
    """The orders of an explainer's maps (D, N, h, w)."""
    several = [patch_orders(draw, part.ids) for draw in maps]
    if not label.info.get("binary"):
        return Asked(join_orders(several))
    areas = (maps > 0).sum(axis=(2, 3))  # (D, N)
    selected = [area[orders.image] for area, orders in zip(areas, several, strict=True)]
    return Asked(join_orders(several), np.concatenate(selected).astype(np.int64))


def _rows(
    part: Part, label: Label, maps: Maps, curves: Curves, seconds: float, evaluated: int
) -> list[Row]:
    """The rows of one label; costs are those of the whole part and stand at its first image."""
    scores = (curves.deletion, curves.insertion, curves.deletion_logit, curves.insertion_logit)
    refuse_non_finite(np.concatenate(scores, axis=1), part.ids, f"the scores of {label.name} are")
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


def _cost(rows: list[Row]) -> dict[str, float]:
    return {
        "forwards": sum(row["_forwards"] for row in rows),
        "seconds": sum(row["_seconds"] for row in rows),
        "map_seconds": sum(row["_map_seconds"] for row in rows),
    }


def _stored_maps(rows: list[Row], grid: tuple[int, int]) -> NDArray[np.float32]:
    return np.array([row["_map"] for row in rows], dtype=np.float32).reshape(-1, *grid)
